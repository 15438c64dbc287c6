// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include "ttt/io/tokenizer/character_set.hpp"
#include "ttt/io/utf8.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// The first character of a text.
struct Character {
  std::size_t length = 0;  ///< bytes
  std::uint32_t code = 0;
};

/// What a byte that is no UTF-8 counts as: a character of its own, for private use, so that it is in no class but those
/// that exclude.
inline constexpr std::uint32_t code_of_invalid_byte = 0xE000;

inline bool is_valid(const Character& character) {
  return character.length > 1 || character.code != code_of_invalid_byte;
}

/// The code point of a well-formed sequence.
inline std::uint32_t code_point(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence.front());
  std::uint32_t code = sequence.size() == 1 ? first : first & (0x7FU >> sequence.size());
  for (const char byte : sequence.substr(1)) code = (code << 6) | (static_cast<unsigned char>(byte) & 0x3FU);
  return code;
}

/// The first character of `text`, which is not empty.
inline Character first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return {1, first};
  const std::size_t length = utf8_sequence_length(text);
  if (length == 0) return {1, code_of_invalid_byte};
  return {length, code_point(text.substr(0, length))};
}

/// The last character of `text`, which is not empty.
inline Character last_character(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  const Character character = first_character(text.substr(start));
  return start + character.length == text.size() ? character : Character{1, code_of_invalid_byte};
}

/// Whether white space.
inline bool is_space(std::uint32_t code) {
  static const CharacterSet spaces = CharacterSet::white_space();
  return code < 0x80 ? code == ' ' || (code >= 0x09 && code <= 0x0D) : spaces.contains(code);
}

/// Whether words consist of such characters (Unicode TR 18, annex C): letters, marks, digits, connectors, and the
/// letters in circles and boxes.
inline bool is_word(std::uint32_t code) {
  static const CharacterSet words = [] {
    CharacterSet set = CharacterSet(0x200C, 0x200D) | CharacterSet(0x24B6, 0x24E9) | CharacterSet(0x1F130, 0x1F149) |
                       CharacterSet(0x1F150, 0x1F169) | CharacterSet(0x1F170, 0x1F189);
    for (const char* category : {"L", "M", "Nd", "Nl", "Pc"}) set = set | CharacterSet::category(category).value();
    return set;
  }();
  return words.contains(code);
}

}  // namespace io::detail
TTT_NAMESPACE_END
