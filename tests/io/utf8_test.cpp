// SPDX-License-Identifier: MIT
#include "ttt/io/utf8.hpp"

#include "support/catch.hpp"

using namespace ttt::io;

TEST_CASE("every Unicode scalar value is one well-formed sequence, and nothing shorter is") {
  std::size_t wrong = 0;
  for (std::uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const std::size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    wrong += text.size() != length || utf8_sequence_length(text) != length;
    wrong += length > 1 && utf8_sequence_length(std::string_view(text).substr(0, length - 1)) != 0;
  }
  CHECK(wrong == 0);
}

TEST_CASE("the well-formed sequences of two bytes and of three are exactly as many as the code points they stand for") {
  std::size_t two = 0;
  std::size_t three = 0;
  for (unsigned value = 0; value < 0x1000000; ++value) {
    const char bytes[3] = {static_cast<char>(value >> 16), static_cast<char>(value >> 8), static_cast<char>(value)};
    const std::size_t length = utf8_sequence_length({bytes, 3});
    two += length == 2 && (value & 0xFF) == 0;
    three += length == 3;
  }
  CHECK(two == 0x800 - 0x80);
  CHECK(three == 0x10000 - 0x800 - 0x800);
}

TEST_CASE("malformed sequences are found where they start") {
  CHECK(find_invalid_utf8("plain") == std::string_view::npos);
  CHECK(find_invalid_utf8("a\x80") == 1);
  CHECK(find_invalid_utf8("\xC0\xAF") == 0);
  CHECK(find_invalid_utf8("\xE2\x82\xAC\xED\xA0\x80") == 3);
  CHECK(find_invalid_utf8("\xF0\x8F\xBF\xBF") == 0);
  CHECK(find_invalid_utf8("\xF4\x90\x80\x80") == 0);
  CHECK(find_invalid_utf8("ab\xE2\x82") == 2);
}

TEST_CASE("text in messages is visible, valid and short") {
  CHECK(printable("a\n\xFF\xE2\x82\xAC") == "a\\x0a\\xff\xE2\x82\xAC");
  const std::string shortened = printable(std::string(5000, 'x'));
  CHECK(shortened.size() < 110);
  CHECK(find_invalid_utf8(shortened) == std::string_view::npos);
}

TEST_CASE("any bytes are UTF-8 when escaped, and come back") {
  CHECK(utf8_escaped("a/b \xE2\x82\xAC \\ \\x \\n") == "a/b \xE2\x82\xAC \\ \\x \\n");
  CHECK(utf8_escaped("b\xFF.txt") == "b\\xff.txt");
  CHECK(utf8_escaped("\\x41") == "\\x5cx41");
  // Every text of up to five of the characters that matter.
  const std::string characters = "\\x5ca\xFF\xE2";
  std::size_t texts = 0, wrong = 0;
  for (int length = 0; length <= 5; ++length) {
    std::string text(static_cast<std::size_t>(length), characters.front());
    for (bool more = true; more; ++texts) {
      const std::string escaped = utf8_escaped(text);
      wrong += find_invalid_utf8(escaped) != std::string_view::npos || utf8_unescaped(escaped) != text;
      more = false;
      for (char& character : text) {
        const std::size_t next = (characters.find(character) + 1) % characters.size();
        character = characters[next];
        if (next != 0) {
          more = true;
          break;
        }
      }
    }
  }
  CHECK(texts == 1 + 7 + 49 + 343 + 2401 + 16807);
  CHECK(wrong == 0);
}
