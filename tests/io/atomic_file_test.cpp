// SPDX-License-Identifier: MIT
#include "ttt/io/atomic_file.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;

namespace {

// Runs `action` in a child process and returns how the child ended.
template <class Action>
int status_of_child(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    action();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("a file is created and replaced, nothing else is left") {
  const TemporaryFolder folder;
  std::string large(200'000, 'x');
  large[70'000] = 'y';
  write_file_atomically(folder / "a", [](OutputFile& output) { output.write("old"); });
  CHECK(read_bytes(folder / "a") == "old");
  write_file_atomically(folder / "a", [&](OutputFile& output) {
    output.write("head");
    output.write(large);
    output.write("tail");
    for (int i = 0; i < 70'000; ++i) output.write("z");
  });
  CHECK(read_bytes(folder / "a") == "head" + large + "tail" + std::string(70'000, 'z'));
  write_file_atomically(folder / "a", [](OutputFile&) {});
  CHECK(read_bytes(folder / "a").empty());
  CHECK(folder.file_count() == 1);
}

TEST_CASE("the new file has the permissions of the old one") {
  const TemporaryFolder folder;
  folder.write("a", "old");
  REQUIRE(::chmod((folder / "a").c_str(), 0640) == 0);
  write_file_atomically(folder / "a", [](OutputFile& output) { output.write("new"); });
  struct stat status {};
  REQUIRE(::stat((folder / "a").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("when the writer throws, the old file stays and the temporary file goes") {
  const TemporaryFolder folder;
  folder.write("a", "old");
  const auto failing = [](OutputFile& output) {
    output.write(std::string(100'000, 'x'));
    throw std::runtime_error("the source ended");
  };
  CHECK_THROWS_WITH(write_file_atomically(folder / "a", failing), "the source ended");
  CHECK(read_bytes(folder / "a") == "old");
  CHECK(folder.file_count() == 1);
}

TEST_CASE("a write that the system refuses names path and reason, and leaves the old file") {
  const TemporaryFolder folder;
  folder.write("a", "old");
  const int status = status_of_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto large = [](OutputFile& output) { output.write(std::string(200'000, 'x')); };
    const std::string error = error_message([&] { write_file_atomically(folder / "a", large); });
    ::_exit(contains(error, "/a: cannot write", "File too large") ? 7 : 1);
  });
  CHECK(WEXITSTATUS(status) == 7);
  CHECK(read_bytes(folder / "a") == "old");
  CHECK(folder.file_count() == 1);
}

TEST_CASE("a destination that cannot be made names path and reason") {
  const TemporaryFolder folder;
  const auto nothing = [](OutputFile&) {};
  CHECK(contains(error_message([&] { write_file_atomically(folder / "absent/a", nothing); }), "absent/a",
                 "No such file or directory"));
  std::filesystem::create_directory(folder / "taken");
  CHECK(contains(error_message([&] { write_file_atomically(folder / "taken", nothing); }), "taken", "cannot replace"));
  CHECK(folder.file_count() == 1);
}

TEST_CASE("a process killed at any moment of writing leaves the old file whole") {
  const TemporaryFolder folder;
  const std::string old(300'000, 'o');
  folder.write("a", old);
  const int pieces = GENERATE(0, 1, 3, 50);
  const int status = status_of_child([&] {
    write_file_atomically(folder / "a", [&](OutputFile& output) {
      for (int i = 0; i < pieces; ++i) output.write(std::string(100'000, 'n'));
      ::kill(::getpid(), SIGKILL);
    });
  });
  REQUIRE(WIFSIGNALED(status));
  CHECK(read_bytes(folder / "a") == old);
  write_file_atomically(folder / "a", [](OutputFile& output) { output.write("new"); });
  CHECK(read_bytes(folder / "a") == "new");
}

TEST_CASE("temporary files of killed processes are cleared, and only those") {
  const TemporaryFolder folder;
  folder.write("a", "old");
  const int status =
      status_of_child([&] { write_file_atomically(folder / "a", [&](OutputFile&) { ::kill(::getpid(), SIGKILL); }); });
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(folder.file_count() == 2);
  for (const std::string name : {"notes.tmp-", "a.tmp-12", "a.tmp-1-x", ".tmp-1-2", "a.tmp-1-2-3", "a.tmp-"})
    folder.write(name, "mine");
  std::filesystem::create_directory(folder / "a.tmp-1-2");
  std::filesystem::create_symlink(folder / "a", folder / "a.tmp-3-4");
  write_file_atomically(folder / "a", [&](OutputFile& output) {
    const std::size_t before = folder.file_count();
    CHECK(remove_abandoned_files(folder.path()) == 1);  // the one of this process is in use
    CHECK(folder.file_count() == before - 1);
    output.write("new");
  });
  CHECK(read_bytes(folder / "a") == "new");
  {
    detail::TemporaryFile temporary(folder / "a");
    temporary.output().finish();  // closed, but not yet in its place
    CHECK(remove_abandoned_files(folder.path()) == 0);
    temporary.replace_destination();
  }
  CHECK(folder.file_count() == 9);
  CHECK(remove_abandoned_files(folder / "absent") == 0);
}

TEST_CASE("files are replaced while others clear away: none is lost") {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0)
    for (;;) remove_abandoned_files(folder.path());
  std::size_t lost = 0;
  for (int i = 0; i < 500; ++i) {
    const std::string text = std::to_string(i);
    const auto name = folder / (i % 2 == 0 ? "a" : "b");
    const std::string problem =
        error_message([&] { write_file_atomically(name, [&](OutputFile& output) { output.write(text); }); });
    lost += !problem.empty() || read_bytes(name) != text;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(lost == 0);
  CHECK(folder.file_count() == 2);
}

TEST_CASE("a device that is full is called that") {
  const auto text = [](OutputFile& output) { output.write("text"); };
  OutputFile full(FileDescriptor(::open("/dev/full", O_WRONLY | O_CLOEXEC)), "/dev/full");
  text(full);
  CHECK(error_message([&] { full.finish(); }) == "/dev/full: cannot write: No space left on device");
}

TEST_CASE("whoever reads while files are replaced, and after the writer is killed, finds one whole file") {
  const TemporaryFolder folder;
  const auto content = [](char c) { return std::string(300'000, c); };
  folder.write("a", content('a'));
  const pid_t child = ::fork();
  if (child == 0) {
    for (char c = 'a';; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
      write_file_atomically(folder / "a", [&](OutputFile& output) { output.write(content(c)); });
    }
  }
  std::size_t broken = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string found = read_bytes(folder / "a");
    broken += found.empty() || found != content(found.front());
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const std::string found = read_bytes(folder / "a");
  CHECK(broken == 0);
  CHECK(found == content(found.front()));
}
