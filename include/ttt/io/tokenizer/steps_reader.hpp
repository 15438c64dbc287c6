// SPDX-License-Identifier: MIT
/// @file
/// The steps that a tokenizer.json names, as normaliser and pre-tokeniser, in front of its model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ttt/io/tokenizer/description.hpp"
#include "ttt/io/tokenizer/fields.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// Limits of the steps, far above any published ones: each works on what all before it made of a text.
inline constexpr std::size_t most_steps = 16, longest_content = 16;

inline void require_few(const Fields& root, const std::string& key, std::size_t count) {
  if (count > most_steps) root.fail(key, "at most " + std::to_string(most_steps) + " steps", std::to_string(count));
}

/// NFC, Prepend and Replace of a text by another, in any order.
inline std::vector<RewritingStep> read_normalizer(const Fields& root) {
  const auto parts = components(root, "normalizer", "normalizers");
  require_few(root, "normalizer", parts.size());
  std::vector<RewritingStep> steps;
  const auto content = [](const Fields& part, const std::string& key, std::size_t least) {
    const std::string text = part.text(key);
    if (text.size() < least || text.size() > longest_content)
      part.fail(key, std::to_string(least) + " to " + std::to_string(longest_content) + " bytes");
    return text;
  };
  for (const Fields& part : parts) {
    const std::string type = part.type();
    if (type == "NFC")
      steps.emplace_back(ComposeCharacters{});
    else if (type == "Prepend")
      steps.emplace_back(PutInFront{content(part, "prepend", 0)});
    else if (type == "Replace")
      steps.emplace_back(ReplacePart{content(part.object("pattern"), "String", 1), content(part, "content", 0)});
    else
      part.fail("type", "NFC, Prepend or Replace");
  }
  return steps;
}

/// Reads the pre-tokeniser: Split, Digits, Punctuation, ByteLevel and Metaspace, one or many.
class PreTokenizerReader {
 public:
  explicit PreTokenizerReader(TokenizerDescription& result) : result_(&result) {}

  void read(const Fields& root) {
    const auto parts = components(root, "pre_tokenizer", "pretokenizers");
    require_few(root, "pre_tokenizer", parts.size());
    for (const Fields& part : parts) {
      const std::string type = part.type();
      if (type == "Split")
        read_split(part);
      else if (type == "Digits")
        split(unicode::numeric,
              part.flag("individual_digits", false) ? SplitBehavior::isolated : SplitBehavior::contiguous);
      else if (type == "Punctuation")
        split(unicode::punctuation, read_behavior(part));
      else if (type == "ByteLevel")
        read_byte_level(part);
      else if (type == "Metaspace")
        read_metaspace(part);
      else
        part.fail("type", "Split, Digits, Punctuation, ByteLevel or Metaspace");
    }
  }

 private:
  /// Behind ByteLevel, steps see the characters that it spells bytes with.
  Alphabet alphabet() const { return result_->is_byte_level ? Alphabet::bytes : Alphabet::characters; }

  void split(std::string_view listed, SplitBehavior behavior) {
    result_->splitting.emplace_back(Pattern(CharacterSet::listed(listed), alphabet()), behavior);
  }

  static SplitBehavior read_behavior(const Fields& part) {
    const std::string behavior = part.has("behavior") ? part.text("behavior") : "Isolated";
    if (behavior == "Contiguous") return SplitBehavior::contiguous;
    if (behavior == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (behavior == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (behavior != "Isolated") part.fail("behavior", "Isolated, Contiguous, MergedWithPrevious or MergedWithNext");
    return SplitBehavior::isolated;
  }

  void read_split(const Fields& part) {
    const Fields pattern = part.object("pattern");
    const bool is_text = pattern.has("String");
    const std::string text = is_text ? escaped(pattern.text("String")) : pattern.text("Regex");
    const std::string place = pattern.place(is_text ? "String" : "Regex");
    result_->splitting.emplace_back(Pattern(text, place, alphabet()), read_behavior(part), part.flag("invert", false));
  }

  /// The pattern of a text.
  static std::string escaped(const std::string& text) {
    std::string result;
    for (const char c : text) {
      if (std::string_view("\\.^$*+?{}()[]|").find(c) != std::string_view::npos) result += '\\';
      result += c;
    }
    return result;
  }

  void read_byte_level(const Fields& part) {
    if (result_->is_byte_level) part.fail("type", "ByteLevel once");
    if (part.flag("add_prefix_space", true)) mark(part, "add_prefix_space", PutInFront{" ", true});
    if (part.flag("use_regex", true)) result_->splitting.push_back(SplittingStep::gpt2());
    result_->is_byte_level = true;
  }

  /// Each word would get it, were there any yet.
  void mark(const Fields& part, const std::string& key, RewritingStep step) {
    if (!result_->splitting.empty() || result_->is_byte_level) part.fail(key, "false, or the first step");
    result_->marking.push_back(std::move(step));
  }

  void read_metaspace(const Fields& part) {
    part.require_text("replacement", space_mark);
    const std::string scheme = part.has("prepend_scheme") ? part.text("prepend_scheme") : "always";
    if (scheme != "always" && scheme != "first" && scheme != "never")
      part.fail("prepend_scheme", "always, first or never");
    if (part.has("add_prefix_space") && !part.flag("add_prefix_space", true) && scheme != "never")
      part.fail("add_prefix_space", "true, as prepend_scheme is " + scheme);
    mark(part, "type", ReplacePart{" ", std::string(space_mark)});
    if (scheme != "never") mark(part, "type", PutInFront{std::string(space_mark), true, scheme == "first"});
    if (part.flag("split", true))
      result_->splitting.emplace_back(Pattern(space_mark, part.place("replacement")), SplitBehavior::merged_with_next);
  }

  TokenizerDescription* result_;
};

}  // namespace io::detail
TTT_NAMESPACE_END
