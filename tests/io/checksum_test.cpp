// SPDX-License-Identifier: MIT
#include "ttt/io/checksum.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace ttt::io;

namespace {

std::uint64_t of_text(const std::string& text) { return checksum(std::as_bytes(std::span(text))); }

std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>((i * 197 + i / 7) & 0xFF);
  return bytes;
}

}  // namespace

TEST_CASE("known answers of XXH64 with seed 0") {
  CHECK(of_text("") == 0xEF46DB3751D8E999u);
  CHECK(of_text("a") == 0xD24EC4F1A98C6E5Bu);
  CHECK(of_text("abc") == 0x44BC2CF5AD770999u);
  CHECK(of_text("123456789") == 0x8CB841DB40E6AE83u);
  CHECK(of_text("Call me Ishmael. Some years ago--never mind how long precisely-") == 0x02A2E85470D6FD96u);
}

TEST_CASE("pieces of any length have the checksum of the whole") {
  const std::vector<std::byte> bytes = some_bytes(200);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const std::span<const std::byte> whole(bytes.data(), size);
    const std::uint64_t expected = checksum(whole);
    for (const std::size_t piece : {1u, 3u, 31u, 32u, 33u, 64u}) {
      Checksum pieces;
      for (std::size_t begin = 0; begin < size; begin += piece) {
        pieces.update(whole.subspan(begin, std::min(piece, size - begin)));
        static_cast<void>(pieces.value());
      }
      REQUIRE(pieces.value() == expected);
    }
  }
}

TEST_CASE("every flipped bit, a longer tail and exchanged pieces are noticed") {
  std::vector<std::byte> bytes = some_bytes(100);
  const std::uint64_t expected = checksum(bytes);
  for (std::size_t bit = 0; bit < 800; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    REQUIRE(checksum(bytes) != expected);
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
  bytes.push_back(std::byte{0});
  CHECK(checksum(bytes) != expected);
  CHECK(of_text(std::string(32, 'a') + std::string(32, 'b')) != of_text(std::string(32, 'b') + std::string(32, 'a')));
}
