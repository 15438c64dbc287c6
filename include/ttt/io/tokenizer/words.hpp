// SPDX-License-Identifier: MIT
/// @file
/// The patterns that pre-tokenisers of known files split a text with, as scanners: each tells the length of the first
/// word. Any character is read a small number of times, whatever the text.
#pragma once

#include "ttt/io/tokenizer/characters.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// How a text is split into the words that merges stay within.
enum class WordPattern {
  gpt2,    ///< gpt2_pattern
  llama3,  ///< llama3_pattern
  none     ///< not at all
};

inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view llama3_pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                                                   R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Bytes of the characters of `kind` that `text` begins with from `start` on, at most `most` of them.
inline std::size_t run_end(std::string_view text, std::size_t start, CharacterKind kind,
                           std::size_t most = std::string_view::npos) {
  for (; start < text.size() && most > 0; --most) {
    const Character character = first_character(text.substr(start));
    if (character.kind != kind) break;
    start += character.length;
  }
  return start;
}

/// Length of the 's, 't, 're, 've, 'm, 'll or 'd that `text` begins with, or 0. Without regard to case, U+017F is an s.
inline std::size_t contraction(std::string_view text, bool any_case) {
  if (text.size() < 2 || text.front() != '\'') return 0;
  if (any_case && text.substr(1).starts_with("\u017F")) return 3;
  const auto letter = [&](std::size_t i) -> char {
    const char c = i < text.size() ? text[i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  return (second == 'e' && (first == 'r' || first == 'v')) || (second == 'l' && first == 'l') ? 3 : 0;
}

/// A run of white space: where it ends, where its last character begins, and where its last newline ends (0: none).
struct SpaceRun {
  std::size_t end = 0, last = 0, newline_end = 0;
};

inline SpaceRun space_run(std::string_view text) {
  SpaceRun run;
  while (run.end < text.size()) {
    const Character character = first_character(text.substr(run.end));
    if (!is_space(character.kind)) break;
    run.last = run.end;
    run.end += character.length;
    if (character.kind == CharacterKind::newline) run.newline_end = run.end;
  }
  return run;
}

/// Length of the white space taken as one word: the last character is left to what follows, if it can be.
inline std::size_t space_word(std::string_view text, const SpaceRun& run) {
  return run.end == text.size() || run.last == 0 ? run.end : run.last;
}

/// Length of the first match of gpt2_pattern in `text`, which is not empty.
inline std::size_t gpt2_word(std::string_view text) {
  if (const std::size_t length = contraction(text, false)) return length;
  const std::size_t start = text.front() == ' ' && text.size() > 1 ? 1 : 0;
  const CharacterKind kind = first_character(text.substr(start)).kind;
  if (!is_space(kind)) return run_end(text, start, kind);
  return space_word(text, space_run(text));
}

/// Length of the first match of llama3_pattern in `text`, which is not empty.
inline std::size_t llama3_word(std::string_view text) {
  if (const std::size_t length = contraction(text, true)) return length;
  const Character first = first_character(text);
  if (first.kind == CharacterKind::letter) return run_end(text, 0, CharacterKind::letter);
  if (first.kind == CharacterKind::number) return run_end(text, 0, CharacterKind::number, 3);
  const bool more = first.length < text.size();
  const CharacterKind second = more ? first_character(text.substr(first.length)).kind : CharacterKind::space;
  if (first.kind != CharacterKind::newline && second == CharacterKind::letter)
    return run_end(text, first.length, CharacterKind::letter);
  if (first.kind == CharacterKind::symbol || (text.front() == ' ' && second == CharacterKind::symbol))
    return run_end(text, run_end(text, first.kind == CharacterKind::symbol ? 0 : 1, CharacterKind::symbol),
                   CharacterKind::newline);
  const SpaceRun run = space_run(text);
  return run.newline_end > 0 ? run.newline_end : space_word(text, run);
}

/// Calls `take(word)` for the words of `text` one after another.
template <class Take>
void for_each_word(std::string_view text, WordPattern pattern, Take take) {
  while (!text.empty()) {
    const std::size_t length = pattern == WordPattern::gpt2     ? gpt2_word(text)
                               : pattern == WordPattern::llama3 ? llama3_word(text)
                                                                : text.size();
    take(text.substr(0, length));
    text.remove_prefix(length);
  }
}

}  // namespace io::detail
TTT_NAMESPACE_END
