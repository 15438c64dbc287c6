// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "ttt/io/tokenizer/unicode.hpp"
#include "ttt/io/utf8.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// What the patterns of pre-tokenisers tell apart.
enum class CharacterKind : std::uint8_t {
  symbol,  ///< everything else, also a byte that is no UTF-8
  letter,  ///< \p{L}
  number,  ///< \p{N}
  space,   ///< \s without the two below
  newline  ///< \r and \n
};

inline bool is_space(CharacterKind kind) { return kind == CharacterKind::space || kind == CharacterKind::newline; }

/// The first character of a text; a byte that is no UTF-8 is one of its own.
struct Character {
  std::size_t length = 0;  ///< bytes
  CharacterKind kind = CharacterKind::symbol;
};

constexpr bool is_within(std::span<const std::uint32_t> borders, std::uint32_t code) {
  return (std::upper_bound(borders.begin(), borders.end(), code) - borders.begin()) % 2 == 1;
}

constexpr CharacterKind kind_of(std::uint32_t code) {
  if (code == '\r' || code == '\n') return CharacterKind::newline;
  if (is_within(unicode::letters, code)) return CharacterKind::letter;
  if (is_within(unicode::numbers, code)) return CharacterKind::number;
  return is_within(unicode::spaces, code) ? CharacterKind::space : CharacterKind::symbol;
}

constexpr std::array<CharacterKind, 0x80> make_ascii_kinds() {
  std::array<CharacterKind, 0x80> kinds{};
  for (std::uint32_t code = 0; code < kinds.size(); ++code) kinds[code] = kind_of(code);
  return kinds;
}
inline constexpr std::array<CharacterKind, 0x80> ascii_kinds = make_ascii_kinds();

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
  if (first < 0x80) return {1, ascii_kinds[first]};
  const std::size_t length = utf8_sequence_length(text);
  if (length == 0) return {1, CharacterKind::symbol};
  return {length, kind_of(code_point(text.substr(0, length)))};
}

}  // namespace io::detail
TTT_NAMESPACE_END
