// SPDX-License-Identifier: MIT
#include "ttt/io/file_lock.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <vector>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;

namespace {

/// A process that takes the lock and says so, then keeps it until it is told to end, or killed.
class Holder {
 public:
  explicit Holder(const std::filesystem::path& path) {
    REQUIRE(::pipe(ready_) == 0);
    REQUIRE(::pipe(end_) == 0);
    process_ = ::fork();
    if (process_ == 0) {
      char byte = 'r';
      {
        const FileLock lock(path);
        static_cast<void>(::write(ready_[1], &byte, 1) == 1);
        static_cast<void>(::read(end_[0], &byte, 1) == 1);
      }
      ::_exit(0);
    }
    char byte = 0;
    REQUIRE(::read(ready_[0], &byte, 1) == 1);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    for (const int number : {ready_[0], ready_[1], end_[0], end_[1]}) ::close(number);
  }

  pid_t process() const { return process_; }
  void end() const {
    REQUIRE(::write(end_[1], "e", 1) == 1);
    ::waitpid(process_, nullptr, 0);
  }
  void kill() const {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }

 private:
  int ready_[2]{}, end_[2]{};
  pid_t process_ = -1;
};

}  // namespace

TEST_CASE("a lock keeps others out, names its holder, and leaves no file") {
  const TemporaryFolder folder;
  {
    const FileLock lock(folder / "lock");
    CHECK(lock.is_held());
    const std::string message = error_message([&] { FileLock second(folder / "lock"); });
    CHECK(contains(message, (folder / "lock").string() + ": held by process " + std::to_string(::getpid()) + " on ",
                   ", since 20", " UTC"));
    CHECK(folder.file_count() == 1);
  }
  CHECK(folder.file_count() == 0);
  CHECK(FileLock(folder / "lock").is_held());
}

TEST_CASE("a lock of another process is named with its number, and ends with it") {
  const TemporaryFolder folder;
  const Holder holder(folder / "lock");
  CHECK(contains(error_message([&] { FileLock second(folder / "lock"); }),
                 "process " + std::to_string(holder.process()) + " on "));
  holder.end();
  CHECK(folder.file_count() == 0);
  CHECK(FileLock(folder / "lock").is_held());
}

TEST_CASE("what a killed process left is taken over") {
  const TemporaryFolder folder;
  const Holder holder(folder / "lock");
  holder.kill();
  REQUIRE(folder.file_count() == 1);
  const FileLock lock(folder / "lock");
  CHECK(contains(read_bytes(folder / "lock"), "process " + std::to_string(::getpid()) + " on "));
}

TEST_CASE("whoever waits for nothing finds the lock free again: many take turns, and never two at once") {
  const TemporaryFolder folder;
  folder.write("inside", "");
  std::vector<pid_t> children;
  for (int child = 0; child < 4; ++child) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    int failures = 0;
    for (int turn = 0; turn < 50;) {
      try {
        const FileLock lock(folder / "lock");
        // Two inside would meet here.
        const int file = ::open((folder / "alone").c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600);
        failures += file < 0 ? 1 : 0;
        ::close(file);
        ::unlink((folder / "alone").c_str());
        ++turn;
      } catch (const ttt::Error& error) {
        if (!contains(error.what(), "held by")) ++failures;
      }
    }
    ::_exit(failures == 0 ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(folder.file_count() == 1);
}

TEST_CASE("a place where no file can be made names path and reason") {
  const TemporaryFolder folder;
  CHECK(contains(error_message([&] { FileLock lock(folder / "absent/lock"); }), "absent/lock: cannot open for locking",
                 "No such file or directory"));
}
