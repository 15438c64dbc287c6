// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "ttt/core/error.hpp"
#include "ttt/io/tokenizer/characters.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// The text of a pattern, taken from its beginning on: marks, numbers, and what stands for one character. Throws Error
/// for what it does not know.
class PatternText {
 protected:
  PatternText(std::string_view text, std::string name) : rest_(text), name_(std::move(name)) {}

  [[noreturn]] void fail() const {
    throw_unexpected(name_,
                     "a pattern of alternatives, groups, classes, \\p{L}, \\s, greedy repetitions, (?=x) and (?!x)",
                     rest_.empty() ? "its end" : "'" + printable(rest_) + "'");
  }
  bool take(std::string_view part) {
    if (!rest_.starts_with(part)) return false;
    rest_.remove_prefix(part.size());
    return true;
  }
  void require(std::string_view part) {
    if (!take(part)) fail();
  }

  std::size_t number() {
    std::size_t value = 0, digits = 0;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9' && digits < 6; ++digits) {
      value = 10 * value + static_cast<std::size_t>(rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    if (digits == 0) fail();
    return value;
  }

  /// Two letters that a single character stands for, such as the sharp s.
  void refuse_folded_pair(char last) const {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    const std::string pair{lower(last), lower(rest_.front())};
    for (const char* folded : {"ss", "ff", "fi", "fl", "st"})
      if (pair == folded) fail();
  }

  /// A class, an escape or a character that stands for itself.
  CharacterSet one_character() {
    if (take("[")) return bracketed();
    if (rest_.front() == '\\') return escaped();
    if (std::string_view(".^$*+?{}()]|").find(rest_.front()) != std::string_view::npos) fail();
    const std::uint32_t code = literal();
    return range(code, code);
  }

  std::string_view rest_;
  std::string name_;
  bool ignores_case_ = false;

 private:
  CharacterSet bracketed() {
    const bool is_negated = take("^");
    CharacterSet set;
    if (rest_.starts_with("]")) fail();
    while (!take("]")) {
      if (rest_.empty() || rest_.front() == '[' || rest_.starts_with("&&")) fail();
      set = set | bracketed_part();
    }
    return is_negated ? ~set : set;
  }

  CharacterSet bracketed_part() {
    if (is_class_escape()) return escaped();
    const std::uint32_t first = literal();
    if (!rest_.starts_with("-") || rest_.starts_with("-]")) return range(first, first);
    rest_.remove_prefix(1);
    if (rest_.empty() || rest_.front() == '[' || is_class_escape()) fail();
    const std::string_view before = rest_;
    const std::uint32_t last = literal();
    if (last < first) rest_ = before, fail();
    return range(first, last);
  }

  bool is_class_escape() const {
    return rest_.size() > 1 && rest_.front() == '\\' &&
           std::string_view("pPsSd").find(rest_[1]) != std::string_view::npos;
  }

  CharacterSet escaped() {
    if (!is_class_escape()) {
      const std::uint32_t code = literal();
      return range(code, code);
    }
    const std::string_view before = rest_;
    if (take("\\s")) return CharacterSet::white_space();
    if (take("\\S")) return ~CharacterSet::white_space();
    if (take("\\d")) return CharacterSet::category("Nd").value();
    const bool is_negated = take("\\P{");
    if (!is_negated) require("\\p{");
    const std::size_t size = std::min(rest_.find('}'), rest_.size());
    const auto set = CharacterSet::category(rest_.substr(0, size));
    if (!set || size == rest_.size() || ignores_case_) rest_ = before, fail();
    rest_.remove_prefix(size + 1);
    return is_negated ? ~*set : *set;
  }

  /// A character that stands for itself, perhaps behind a backslash.
  std::uint32_t literal() {
    if (take("\\r")) return '\r';
    if (take("\\n")) return '\n';
    if (take("\\t")) return '\t';
    if (rest_.starts_with("\\") && (rest_.size() < 2 || !is_symbol(rest_[1]))) fail();
    take("\\");
    const Character character = first_character(rest_);
    if (ignores_case_ && character.code >= 0x80) fail();
    rest_.remove_prefix(character.length);
    return character.code;
  }
  static bool is_symbol(char c) {
    return c >= ' ' && c < 0x7F && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z');
  }

  /// Without regard to case, U+017F is an s and U+212A a k.
  CharacterSet range(std::uint32_t first, std::uint32_t last) const {
    CharacterSet set(first, last);
    for (std::uint32_t letter = 'a'; ignores_case_ && letter <= 'z'; ++letter) {
      const std::uint32_t capital = letter - 'a' + 'A';
      if ((letter < first || letter > last) && (capital < first || capital > last)) continue;
      set = set | CharacterSet(letter, letter) | CharacterSet(capital, capital);
      if (letter == 's') set = set | CharacterSet(0x17F, 0x17F);
      if (letter == 'k') set = set | CharacterSet(0x212A, 0x212A);
    }
    return set;
  }
};

}  // namespace io::detail
TTT_NAMESPACE_END
