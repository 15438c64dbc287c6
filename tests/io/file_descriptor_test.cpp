// SPDX-License-Identifier: MIT
#include "ttt/io/file_descriptor.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::TemporaryFolder;

TEST_CASE("a file is read in pieces, and to its end only") {
  const TemporaryFolder folder;
  folder.write("a", "0123456789");
  InputFile file(folder / "a");
  CHECK(file.size() == 10);
  std::string text(4, ' ');
  file.read(std::as_writable_bytes(std::span(text)));
  CHECK(text == "0123");
  text.resize(6);
  file.read(std::as_writable_bytes(std::span(text)));
  CHECK(text == "456789");
  CHECK(contains(error_message([&] { file.read(std::as_writable_bytes(std::span(text))); }), "/a", "end of the file"));
}

TEST_CASE("a file that was cut after it was opened is an error") {
  const TemporaryFolder folder;
  folder.write("a", "0123456789");
  InputFile file(folder / "a");
  std::filesystem::resize_file(folder / "a", 5);
  std::string text(10, ' ');
  CHECK_THROWS_AS(file.read(std::as_writable_bytes(std::span(text))), ttt::Error);
}

TEST_CASE("what is no regular file is refused without waiting") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(contains(error_message([&] { InputFile(folder / "pipe"); }), "pipe", "a regular file"));
  CHECK(contains(error_message([&] { InputFile file(folder.path()); }), "a regular file"));
  CHECK(contains(error_message([&] { InputFile(folder / "absent"); }), "absent", "No such file"));
}

TEST_CASE("text longer than allowed is not read") {
  const TemporaryFolder folder;
  folder.write("a", "0123456789");
  CHECK(read_text_file(folder / "a", 10) == "0123456789");
  CHECK(contains(error_message([&] { read_text_file(folder / "a", 9); }), "at most 9 bytes", "found 10"));
}

TEST_CASE("a descriptor has one owner") {
  const TemporaryFolder folder;
  folder.write("a", "x");
  FileDescriptor first(::open((folder / "a").c_str(), O_RDONLY));
  const int number = first.number();
  FileDescriptor second(std::move(first));
  CHECK(second.number() == number);
  CHECK(second.close());
  CHECK_FALSE(second.is_open());
  CHECK(::fcntl(number, F_GETFD) == -1);
}
