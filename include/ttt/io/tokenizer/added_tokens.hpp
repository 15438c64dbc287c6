// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/io/tokenizer/characters.hpp"
#include "ttt/io/tokenizer/tables.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// A token that is found in a text before anything else looks at it.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool strips_left = false, strips_right = false;  ///< takes white space beside it too
  bool is_single_word = false;                     ///< is none within a word
  bool is_normalized = false;                      ///< is looked for in the normalised text, normalised itself
  bool is_special = false;
};

/// Longest content of an added token, far above any real one: a text is searched in this many steps a byte at most.
inline constexpr std::size_t longest_added_token = 256;

/// Finds added tokens in a text: the leftmost, of those the longest.
class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
    std::sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.content < b.content; });
    for (const auto& token : tokens_) begins_[static_cast<unsigned char>(token.content.front())] = true;
  }

  bool empty() const { return tokens_.empty(); }

  /// Calls `take_text(start, end)` and `take_token(id, end)` for what `text` consists of, one after another. The
  /// white space that a token takes is part of it.
  template <class TakeText, class TakeToken>
  void split(std::string_view text, TakeText take_text, TakeToken take_token) const {
    std::size_t done = 0, place = 0;
    while (!tokens_.empty() && place < text.size()) {
      const AddedToken* token =
          begins_[static_cast<unsigned char>(text[place])] ? longest_at(text.substr(place)) : nullptr;
      if (!token) {
        ++place;
        continue;
      }
      if (token->is_single_word && is_within_word(text, place, place + token->content.size())) {
        place += token->content.size();
        continue;
      }
      const std::size_t start = token->strips_left ? spaces_before(text, done, place) : place;
      if (done < start) take_text(done, start);
      place += token->content.size();
      if (token->strips_right) place = spaces_after(text, place);
      take_token(token->id, place);
      done = place;
    }
    if (done < text.size()) take_text(done, text.size());
  }

 private:
  /// Narrows the sorted tokens down, byte after byte.
  const AddedToken* longest_at(std::string_view text) const {
    const AddedToken* found = nullptr;
    auto first = tokens_.begin(), last = tokens_.end();
    for (std::size_t length = 0; length < text.size(); ++length) {
      const auto byte = [&](const AddedToken& token) { return static_cast<unsigned char>(token.content[length]); };
      const auto wanted = static_cast<unsigned char>(text[length]);
      first = std::partition_point(first, last, [&](const auto& token) { return byte(token) < wanted; });
      last = std::partition_point(first, last, [&](const auto& token) { return byte(token) == wanted; });
      // The one that ends here sorts before those that go on.
      if (first != last && first->content.size() == length + 1) found = &*first++;
      if (first == last) break;
    }
    return found;
  }

  static bool is_within_word(std::string_view text, std::size_t start, std::size_t end) {
    return (start > 0 && is_word(last_character(text.substr(0, start)).code)) ||
           (end < text.size() && is_word(first_character(text.substr(end)).code));
  }

  /// Where the white space that ends at `end` begins, not before `limit`.
  static std::size_t spaces_before(std::string_view text, std::size_t limit, std::size_t end) {
    while (end > limit) {
      const Character character = last_character(text.substr(limit, end - limit));
      if (!is_space(character.code)) break;
      end -= character.length;
    }
    return end;
  }
  static std::size_t spaces_after(std::string_view text, std::size_t start) {
    while (start < text.size()) {
      const Character character = first_character(text.substr(start));
      if (!is_space(character.code)) break;
      start += character.length;
    }
    return start;
  }

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> begins_{};
};

}  // namespace io::detail
TTT_NAMESPACE_END
