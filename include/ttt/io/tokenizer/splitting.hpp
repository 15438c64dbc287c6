// SPDX-License-Identifier: MIT
/// @file
/// The steps of a tokenizer.json that split a text into the words that merges stay within.
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/tokenizer/pattern.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// What ByteLevel splits at.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Which matches and parts between them make one word.
enum class SplitBehavior {
  isolated,              ///< none
  contiguous,            ///< matches side by side
  merged_with_previous,  ///< a match with the part in front of it
  merged_with_next       ///< a match with the part behind it
};

/// Splits a text at the matches of a pattern.
class SplittingStep {
 public:
  /// `inverted`: what does not match is what the behaviour takes for matches.
  explicit SplittingStep(Pattern pattern, SplitBehavior behavior = SplitBehavior::isolated, bool inverted = false)
      : pattern_(std::move(pattern)), behavior_(behavior), inverted_(inverted) {}

  /// ByteLevel: the words of GPT-2.
  static SplittingStep gpt2() { return SplittingStep(Pattern(gpt2_pattern, "ByteLevel")); }

  /// Calls `take(word)` for the words of `text` one after another.
  template <class Take>
  void split(std::string_view text, const Take& take) const {
    Pattern::Scans scans;
    std::size_t begin = 0, end = 0;  // of a word that may go on
    bool last = false;
    const auto add = [&](std::size_t next, bool is_match) {
      if (begin < end && !joins(last, is_match)) {
        take(text.substr(begin, end - begin));
        begin = end;
      }
      end = next, last = is_match;
    };
    for (std::size_t place = 0; place < text.size();) {
      const std::size_t match = pattern_.match_end(text, place, scans);
      if (match == place) {
        place += pattern_.character_length(text, place);
        if (place == text.size()) add(place, inverted_);
        continue;
      }
      if (end < place) add(place, inverted_);
      add(match, !inverted_);
      place = match;
    }
    if (begin < end) take(text.substr(begin));
  }

 private:
  /// Whether two parts, matches or not, are one word.
  bool joins(bool first, bool second) const {
    switch (behavior_) {
      case SplitBehavior::contiguous:
        return first == second;
      case SplitBehavior::merged_with_previous:
        return !first && second;
      case SplitBehavior::merged_with_next:
        return first && !second;
      case SplitBehavior::isolated:
        break;
    }
    return false;
  }

  Pattern pattern_;
  SplitBehavior behavior_;
  bool inverted_;
};

/// Calls `take(word)` for what is left of a text when every step has split what the one before left.
template <class Take>
void for_each_word(std::string_view text, std::span<const SplittingStep> steps, const Take& take) {
  if (text.empty()) return;
  if (steps.empty()) return take(text);
  if (steps.size() == 1) return steps.front().split(text, take);
  steps.front().split(text, [&](std::string_view word) { for_each_word(word, steps.subspan(1), take); });
}

}  // namespace io::detail
TTT_NAMESPACE_END
