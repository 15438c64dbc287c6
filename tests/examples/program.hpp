// SPDX-License-Identifier: MIT
/// @file
/// Runs the program under test as a user would, and looks at what it left behind.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace ttt_test {

namespace fs = std::filesystem;

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A folder of its own for one test, removed with everything in it.
class WorkFolder {
 public:
  WorkFolder() {
    std::string name = (fs::temp_directory_path() / "ttt-lm-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    return (path_ / name).string();
  }
  /// Every file below the folder with its bytes: equal before and after when nothing was changed.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
      files[entry.path().string()] = entry.is_regular_file() ? read_file(entry.path()) : "folder";
    return files;
  }

 private:
  fs::path path_;
};

/// What a run of the program left: -1 as the exit code when a signal ended it.
struct Outcome {
  int exit_code = -1;
  std::string output, errors;
};

/// A running program; its output goes to files.
class Program {
 public:
  /// `emulator`, words separated by spaces, runs a program of another machine; empty: none is needed.
  Program(const std::string& emulator, const std::string& program, const std::vector<std::string>& arguments,
          const std::string& output = "")
      : output_(output) {
    std::istringstream parts(emulator);
    for (std::string part; parts >> part;) words_.push_back(part);
    words_.push_back(program);
    words_.insert(words_.end(), arguments.begin(), arguments.end());
    process_ = fork();
    if (process_ < 0) throw std::runtime_error("cannot start the program");
    if (process_ == 0) execute();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void send(int signal) const { kill(process_, signal); }
  Outcome wait() const {
    int status = 0;
    waitpid(process_, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder_ / "output"), read_file(folder_ / "errors")};
  }

 private:
  void redirect(const std::string& path, int descriptor) const {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || dup2(file, descriptor) < 0) _exit(126);
    close(file);
  }
  [[noreturn]] void execute() const {
    redirect(output_.empty() ? folder_ / "output" : output_, STDOUT_FILENO);
    redirect(folder_ / "errors", STDERR_FILENO);
    std::vector<char*> list;
    for (const auto& word : words_) list.push_back(const_cast<char*>(word.c_str()));
    list.push_back(nullptr);
    execvp(list.front(), list.data());
    _exit(127);
  }

  WorkFolder folder_;
  std::vector<std::string> words_;
  std::string output_;
  pid_t process_ = -1;
};

}  // namespace ttt_test
