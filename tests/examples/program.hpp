// SPDX-License-Identifier: MIT
/// @file
/// Runs the program under test as a user would, and looks at what it left behind.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"

namespace ttt::testing {

namespace fs = std::filesystem;

/// What a run of the program left: -1 as the exit code when a signal ended it.
struct Outcome {
  int exit_code = -1;
  std::string output, errors;
};

/// A running program; its output goes to files.
class Program {
 public:
  /// `emulator`, words separated by spaces, runs a program of another machine; empty: none is needed. `input` is what
  /// standard input reads from.
  Program(const std::string& emulator, const std::string& program, const std::vector<std::string>& arguments,
          const fs::path& output = {}, const fs::path& input = "/dev/null")
      : output_(output), input_(input) {
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

  pid_t process() const { return process_; }
  void send(int signal) const { kill(process_, signal); }
  Outcome wait() const {
    int status = 0;
    waitpid(process_, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(folder_ / "output"),
            read_bytes(folder_ / "errors")};
  }

 private:
  void redirect(const fs::path& path, int descriptor, int flags = O_WRONLY | O_CREAT | O_TRUNC) const {
    const int file = open(path.c_str(), flags | O_NOCTTY, 0600);
    if (file < 0 || dup2(file, descriptor) < 0) _exit(126);
    close(file);
  }
  [[noreturn]] void execute() const {
    redirect(input_, STDIN_FILENO, O_RDONLY);
    redirect(output_.empty() ? folder_ / "output" : output_, STDOUT_FILENO);
    redirect(folder_ / "errors", STDERR_FILENO);
    std::vector<char*> list;
    for (const auto& word : words_) list.push_back(const_cast<char*>(word.c_str()));
    list.push_back(nullptr);
    execvp(list.front(), list.data());
    _exit(127);
  }

  TemporaryFolder folder_;
  std::vector<std::string> words_;
  fs::path output_, input_;
  pid_t process_ = -1;
};

}  // namespace ttt::testing
