// SPDX-License-Identifier: MIT
#include "ttt/io/file_descriptor.hpp"

#include "io/temporary_folder.hpp"
#include "support/catch.hpp"

using namespace ttt::io;
using ttt_test::contains;
using ttt_test::error_of;

TEST_CASE("a file is read in pieces, and to its end only") {
  const ttt_test::TemporaryFolder folder;
  ttt_test::write_bytes(folder / "a", "0123456789");
  InputFile file(folder / "a");
  CHECK(file.size() == 10);
  std::string text(4, ' ');
  file.read(std::as_writable_bytes(std::span(text)));
  CHECK(text == "0123");
  text.resize(6);
  file.read(std::as_writable_bytes(std::span(text)));
  CHECK(text == "456789");
  CHECK(contains(error_of<ttt::Error>([&] { file.read(std::as_writable_bytes(std::span(text))); }), "/a",
                 "end of the file"));
}

TEST_CASE("a file that was cut after it was opened is an error") {
  const ttt_test::TemporaryFolder folder;
  ttt_test::write_bytes(folder / "a", "0123456789");
  InputFile file(folder / "a");
  std::filesystem::resize_file(folder / "a", 5);
  std::string text(10, ' ');
  CHECK_THROWS_AS(file.read(std::as_writable_bytes(std::span(text))), ttt::Error);
}

TEST_CASE("what is no regular file is refused without waiting") {
  const ttt_test::TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(contains(error_of<ttt::Error>([&] { InputFile(folder / "pipe"); }), "pipe", "a regular file"));
  CHECK(contains(error_of<ttt::Error>([&] { InputFile file(folder.path()); }), "a regular file"));
  CHECK(contains(error_of<ttt::Error>([&] { InputFile(folder / "absent"); }), "absent", "No such file"));
}

TEST_CASE("text longer than allowed is not read") {
  const ttt_test::TemporaryFolder folder;
  ttt_test::write_bytes(folder / "a", "0123456789");
  CHECK(read_text_file(folder / "a", 10) == "0123456789");
  CHECK(contains(error_of<ttt::Error>([&] { read_text_file(folder / "a", 9); }), "at most 9 bytes", "found 10"));
}

TEST_CASE("a descriptor has one owner") {
  const ttt_test::TemporaryFolder folder;
  ttt_test::write_bytes(folder / "a", "x");
  FileDescriptor first(::open((folder / "a").c_str(), O_RDONLY));
  const int number = first.number();
  FileDescriptor second(std::move(first));
  CHECK(second.number() == number);
  CHECK(second.close());
  CHECK_FALSE(second.is_open());
  CHECK(::fcntl(number, F_GETFD) == -1);
}
