// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Length of the well-formed UTF-8 sequence at the start of `text` (Unicode table 3-7: no overlong forms, no
/// surrogates, nothing above U+10FFFF), or 0.
inline std::size_t utf8_sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto within = [&](std::size_t i, unsigned low, unsigned high) { return byte(i) >= low && byte(i) <= high; };
  if (text.empty()) return 0;
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return within(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool second = within(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return second && within(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool second = within(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
    return second && within(2, 0x80, 0xBF) && within(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

/// Position of the first byte that starts no well-formed UTF-8 sequence, or `npos`.
inline std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t length = utf8_sequence_length(text.substr(position));
    if (length == 0) return position;
    position += length;
  }
  return std::string_view::npos;
}

/// Appends the UTF-8 form of `code`, which is a Unicode scalar value.
inline void append_utf8(std::string& result, std::uint32_t code) {
  const auto push = [&](std::uint32_t byte) { result.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (code < 0x80) return push(code);
  if (code < 0x800) {
    push(0xC0 | (code >> 6));
  } else if (code < 0x10000) {
    push(0xE0 | (code >> 12));
    push(0x80 | ((code >> 6) & 0x3F));
  } else {
    push(0xF0 | (code >> 18));
    push(0x80 | ((code >> 12) & 0x3F));
    push(0x80 | ((code >> 6) & 0x3F));
  }
  push(0x80 | (code & 0x3F));
}

namespace detail {

/// Value of two hexadecimal digits behind `\x` at the start of `text`; −1 when it does not start so.
inline int escaped_byte(std::string_view text) {
  const auto digit = [&](std::size_t i) {
    const std::size_t value = std::string_view("0123456789abcdef").find(text[i]);
    return value == std::string_view::npos ? -1 : static_cast<int>(value);
  };
  if (text.size() < 4 || text[0] != '\\' || text[1] != 'x' || digit(2) < 0 || digit(3) < 0) return -1;
  return 16 * digit(2) + digit(3);
}

inline void append_escaped(std::string& result, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  result.append({'\\', 'x', digits[byte >> 4], digits[byte & 15]});
}

}  // namespace detail

/// Any bytes as UTF-8, for where nothing else may stand: bytes of no well-formed sequence become `\xNN`, and a
/// backslash that would be read as the beginning of one `\x5c`; all else stays. `utf8_unescaped` gives the bytes back.
inline std::string utf8_escaped(std::string_view bytes) {
  std::string result;
  while (!bytes.empty()) {
    const std::size_t length = utf8_sequence_length(bytes);
    if (length == 0 || detail::escaped_byte(bytes) >= 0)
      detail::append_escaped(result, bytes.front());
    else
      result.append(bytes.substr(0, length));
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

/// The bytes that `utf8_escaped` made `text` of.
inline std::string utf8_unescaped(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const int byte = detail::escaped_byte(text);
    result.push_back(byte < 0 ? text.front() : static_cast<char>(static_cast<unsigned char>(byte)));
    text.remove_prefix(byte < 0 ? 1 : 4);
  }
  return result;
}

/// `text` for an error message: control characters and invalid bytes as `\xNN`, shortened to 100 bytes.
inline std::string printable(std::string_view text) {
  constexpr std::size_t maximum = 100;
  std::string result;
  while (!text.empty() && result.size() < maximum) {
    const std::size_t length = utf8_sequence_length(text);
    const auto byte = static_cast<unsigned char>(text.front());
    if (length == 0 || byte < 0x20 || byte == 0x7F)
      detail::append_escaped(result, text.front());
    else
      result.append(text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  if (!text.empty()) result.append("…");
  return result;
}

}  // namespace io
TTT_NAMESPACE_END
