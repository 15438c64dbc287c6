// SPDX-License-Identifier: MIT
/// @file
/// A strict pull reader for the small JSON texts that describe tensor files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/io/utf8.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Reads one JSON text (RFC 8259) value by value, as the caller expects them, without building a tree.
///
/// Stricter than the standard asks: UTF-8 only, no lone surrogates, no duplicate keys, no leading byte order mark, at
/// most `maximum_depth` nested objects and arrays and as many members as each call allows. Memory: the keys of the open
/// objects. The text must outlive the reader. Throws Error naming `subject`, the byte, what was expected and found.
class JsonReader {
 public:
  static constexpr int maximum_depth = 127;

  JsonReader(std::string_view text, std::string subject) : text_(text), subject_(std::move(subject)) {
    const std::size_t invalid = find_invalid_utf8(text_);
    if (invalid != std::string_view::npos) fail_at(invalid, "valid UTF-8", describe_at(invalid));
  }

  /// Reads an object; calls `on_member(key)` for each member, which must consume the value.
  template <class OnMember>
  void object(std::size_t maximum_members, OnMember on_member) {
    std::vector<std::string> keys;
    list('{', '}', maximum_members, [&] {
      keys.push_back(string());
      take(':', "':' after the key '" + printable(keys.back()) + "'");
      on_member(std::as_const(keys.back()));
    });
    std::sort(keys.begin(), keys.end());
    const auto duplicate = std::adjacent_find(keys.begin(), keys.end());
    if (duplicate != keys.end()) fail("each key once", "the key '" + printable(*duplicate) + "' twice");
  }

  /// Reads an array; calls `on_element()` for each element, which must consume it.
  template <class OnElement>
  void array(std::size_t maximum_elements, OnElement on_element) {
    list('[', ']', maximum_elements, on_element);
  }

  /// Reads a string and resolves its escapes.
  std::string string() {
    take('"', "a string");
    std::string result;
    for (;;) {
      const std::size_t plain = position_;
      while (position_ < text_.size() && is_plain(text_[position_])) ++position_;
      result.append(text_.substr(plain, position_ - plain));
      if (position_ < text_.size() && text_[position_] == '"') break;
      if (position_ >= text_.size() || text_[position_] != '\\') fail("a closed string without control characters");
      ++position_;
      append_escape(result);
    }
    ++position_;
    return result;
  }

  /// Reads a whole number that is not negative: digits only, below 2^64.
  std::uint64_t unsigned_integer() {
    skip_space();
    const std::size_t first = position_;
    std::uint64_t value = 0;
    for (; is_digit(peek()); ++position_) {
      const auto digit = static_cast<std::uint64_t>(text_[position_] - '0');
      if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) fail_at(first, "a whole number below 2^64");
      value = value * 10 + digit;
    }
    const bool leading_zero = position_ > first + 1 && text_[first] == '0';
    if (position_ == first || leading_zero || is_number_tail(peek())) fail_at(first, "a whole number, not negative");
    return value;
  }

  /// Consumes `null` when it comes next.
  bool take_null() {
    skip_space();
    if (peek() != 'n') return false;
    word("null");
    return true;
  }

  /// Reads any value and forgets it; the same rules hold inside.
  void skip_value(std::size_t maximum_members) {
    skip_space();
    switch (peek()) {
      case '{':
        return object(maximum_members, [&](const std::string&) { skip_value(maximum_members); });
      case '[':
        return array(maximum_members, [&] { skip_value(maximum_members); });
      case '"':
        return static_cast<void>(string());
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return skip_number();
    }
  }

  /// Requires that only white space is left.
  void finish() {
    skip_space();
    if (position_ != text_.size()) fail("the end of the text");
  }

  /// Throws Error at the present position; without `found`, the next character is named.
  [[noreturn]] void fail(const std::string& expected, const std::string& found = {}) const {
    fail_at(position_, expected, found);
  }

 private:
  template <class OnItem>
  void list(char open, char close, std::size_t maximum_items, OnItem on_item) {
    if (++depth_ > maximum_depth) fail("at most " + std::to_string(maximum_depth) + " nested values", "more");
    take(open, std::string("'") + open + "'");
    skip_space();
    for (std::size_t count = 0; peek() != close; ++count) {
      if (count > 0) take(',', std::string("',' or '") + close + "'");
      if (count == maximum_items) fail("at most " + std::to_string(maximum_items) + " items", "more");
      on_item();
      skip_space();
    }
    ++position_;
    --depth_;
  }

  void append_escape(std::string& result) {
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view values = "\"\\/\b\f\n\r\t";
    const char name = peek();
    if (const std::size_t index = names.find(name); index != std::string_view::npos && position_ < text_.size()) {
      ++position_;
      result.push_back(values[index]);
      return;
    }
    if (name != 'u') fail("an escape of JSON");
    std::uint32_t code = escaped_unit();
    if (code >= 0xDC00 && code < 0xE000) fail("a high surrogate first", "a lone low surrogate");
    if (code >= 0xD800 && code < 0xDC00) {
      if (text_.substr(position_, 2) != "\\u") fail("a low surrogate", "a lone high surrogate");
      ++position_;
      const std::uint32_t low = escaped_unit();
      if (low < 0xDC00 || low >= 0xE000) fail("a low surrogate", "another code unit");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(result, code);
  }

  // Starts at the 'u' of an escape.
  std::uint32_t escaped_unit() {
    std::uint32_t unit = 0;
    ++position_;
    for (int i = 0; i < 4; ++i, ++position_) {
      constexpr std::string_view digits = "0123456789abcdef";
      const char digit = peek();
      const std::size_t value = digits.find(digit >= 'A' && digit <= 'F' ? static_cast<char>(digit + 32) : digit);
      if (value == std::string_view::npos) fail("four hexadecimal digits");
      unit = unit * 16 + static_cast<std::uint32_t>(value);
    }
    return unit;
  }

  // Numbers beyond double are refused although nobody asks for their value: other readers do not take them either.
  void skip_number() {
    const std::size_t first = position_;
    skip_digits();
    const std::string_view text = text_.substr(first, position_ - first);
    if (text.size() < 300 && text.find_first_of("eE") == std::string_view::npos) return;
    std::istringstream number{std::string(text)};
    number.imbue(std::locale::classic());
    if (double value = 0; !(number >> value)) fail_at(first, "a number in the range of a double", "one beyond");
  }

  void skip_digits() {
    if (peek() == '-') ++position_;
    if (peek() == '0') {
      ++position_;
    } else {
      digits();
    }
    if (peek() == '.') {
      ++position_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      ++position_;
      if (peek() == '+' || peek() == '-') ++position_;
      digits();
    }
  }

  void digits() {
    if (!is_digit(peek())) fail("a JSON value");
    while (is_digit(peek())) ++position_;
  }

  void word(std::string_view expected) {
    if (text_.substr(position_, expected.size()) != expected) fail("a JSON value");
    position_ += expected.size();
  }

  void take(char expected, const std::string& description) {
    skip_space();
    if (peek() != expected || position_ >= text_.size()) fail(description);
    ++position_;
  }

  void skip_space() {
    while (position_ < text_.size() && std::string_view(" \t\n\r").find(text_[position_]) != std::string_view::npos) {
      ++position_;
    }
  }

  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_number_tail(char c) { return c == '.' || c == 'e' || c == 'E'; }
  static bool is_plain(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\'; }

  std::string describe_at(std::size_t position) const {
    if (position >= text_.size()) return "the end of the text";
    const auto byte = static_cast<unsigned char>(text_[position]);
    if (byte > 0x20 && byte < 0x7F) return std::string("'") + text_[position] + "'";
    return "byte " + std::to_string(byte);
  }

  [[noreturn]] void fail_at(std::size_t position, const std::string& expected, const std::string& found = {}) const {
    throw_unexpected(subject_ + ", byte " + std::to_string(position) + " of the JSON text", expected,
                     found.empty() ? describe_at(position) : found);
  }

  std::string_view text_;
  std::string subject_;
  std::size_t position_ = 0;
  int depth_ = 0;
};

/// Appends `text` as a JSON string with its quotes: only quote, backslash and control characters are escaped.
inline void append_json_string(std::string& result, std::string_view text) {
  constexpr std::string_view values = "\"\\\b\f\n\r\t";
  constexpr std::string_view names = "\"\\bfnrt";
  constexpr std::string_view digits = "0123456789abcdef";
  result.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (const std::size_t index = values.find(c); index != std::string_view::npos) {
      result.push_back('\\');
      result.push_back(names[index]);
    } else if (byte < 0x20) {
      result.append("\\u00");
      result.push_back(digits[byte >> 4]);
      result.push_back(digits[byte & 15]);
    } else {
      result.push_back(c);
    }
  }
  result.push_back('"');
}

}  // namespace io
TTT_NAMESPACE_END
