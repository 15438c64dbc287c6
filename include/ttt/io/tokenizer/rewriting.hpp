// SPDX-License-Identifier: MIT
/// @file
/// The steps of a tokenizer.json that change a text before it is split: normalisers, marks and added spaces.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ttt/io/tokenizer/normalization.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// A text that steps rewrite. It may keep count of the bytes of the original that its bytes stand for.
class RewrittenText {
 public:
  /// `original` must outlive it.
  RewrittenText(std::string_view original, bool counts) : original_(original), counts_(counts) {}

  std::string_view text() const { return is_changed_ ? std::string_view(changed_) : original_; }

  /// How much of the original the first `end` bytes stand for. What stands for a part of it does so with its last byte.
  std::size_t original_end(std::size_t end) const { return is_changed_ && end > 0 ? ends_[end - 1] : end; }

  /// Makes another text of this one: `rewrite(keep, put)` calls `keep(bytes)` for bytes that stay and `put(content,
  /// bytes)` for what comes into the place of some, one after another.
  template <class Rewrite>
  void change(Rewrite rewrite) {
    std::string result;
    std::vector<std::size_t> ends;
    std::size_t place = 0;
    const std::string_view before = text();
    const auto keep = [&](std::size_t bytes) {
      result.append(before.substr(place, bytes));
      for (std::size_t i = 0; counts_ && i < bytes; ++i) ends.push_back(original_end(place + i + 1));
      place += bytes;
    };
    const auto put = [&](std::string_view content, std::size_t bytes) {
      result.append(content);
      if (counts_ && !content.empty()) {
        ends.resize(result.size(), original_end(place));
        ends.back() = original_end(place + bytes);
      }
      place += bytes;
    };
    rewrite(keep, put);
    changed_ = std::move(result);
    ends_ = std::move(ends);
    is_changed_ = true;
  }

 private:
  std::string_view original_;
  std::string changed_;
  std::vector<std::size_t> ends_;  ///< of the original, by byte of the changed text, if they are counted
  bool counts_, is_changed_ = false;
};

/// Normalization Form C.
struct ComposeCharacters {
  void apply(RewrittenText& text, bool) const {
    const std::string_view before = text.text();
    if (is_settled(before)) return;
    text.change([&](auto keep, auto put) { normalize(before, keep, put); });
  }
};

/// Other content for a part of the text, wherever it stands.
struct ReplacePart {
  std::string part, content;

  void apply(RewrittenText& text, bool) const {
    const std::string_view before = text.text();
    if (before.find(part) == std::string_view::npos) return;
    text.change([&](auto keep, auto put) {
      std::size_t done = 0;
      for (std::size_t place; (place = before.find(part, done)) != std::string_view::npos; done = place + part.size()) {
        keep(place - done);
        put(content, part.size());
      }
      keep(before.size() - done);
    });
  }
};

/// Something in front of a text that is not empty.
struct PutInFront {
  std::string content;
  bool unless_there = false;       ///< not where the text begins so already
  bool at_beginning_only = false;  ///< of the whole text

  void apply(RewrittenText& text, bool is_beginning) const {
    const std::string_view before = text.text();
    if (before.empty() || (unless_there && before.starts_with(content)) || (at_beginning_only && !is_beginning)) return;
    text.change([&](auto keep, auto put) {
      put(content, 0);
      keep(before.size());
    });
  }
};

using RewritingStep = std::variant<ComposeCharacters, ReplacePart, PutInFront>;

/// All steps one after another. `is_beginning`: nothing stands before the text.
inline RewrittenText rewritten(std::string_view text, const std::vector<RewritingStep>& steps, bool is_beginning,
                               bool counts) {
  RewrittenText result(text, counts);
  for (const RewritingStep& step : steps) std::visit([&](const auto& one) { one.apply(result, is_beginning); }, step);
  return result;
}

}  // namespace io::detail
TTT_NAMESPACE_END
