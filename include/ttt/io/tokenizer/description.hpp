// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/tokenizer/added_tokens.hpp"
#include "ttt/io/tokenizer/words.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// The character that stands for a space in Llama-style vocabularies.
inline constexpr std::string_view space_mark = "\u2581";

/// When a text gets a mark in front, as if a space stood there.
enum class LeadingMark {
  none,
  always,           ///< normaliser Prepend
  unless_marked,    ///< Metaspace "always"
  at_the_beginning  ///< Metaspace "first": of the whole text only, unless it has one
};

/// What a tokenizer.json says, checked.
struct TokenizerDescription {
  struct Token {
    std::string text;
    TokenId id = 0;
  };
  struct MergeIds {
    TokenId left = 0, right = 0, token = 0;
  };

  std::vector<Token> tokens;  ///< of the model
  std::vector<MergeIds> merges;
  std::vector<AddedToken> added;
  std::vector<TokenId> prefix, suffix;  ///< around a text, by the post-processor

  bool is_byte_level = false;
  WordPattern pattern = WordPattern::none;
  bool adds_space = false;         ///< ByteLevel add_prefix_space
  bool takes_whole_words = false;  ///< ignore_merges

  LeadingMark normalizer_mark = LeadingMark::none;
  bool normalizer_marks_spaces = false;
  LeadingMark mark = LeadingMark::none;  ///< of Metaspace
  bool marks_spaces = false;             ///< Metaspace
  bool splits_at_marks = false;          ///< Metaspace split
  bool falls_back_to_bytes = false;
  bool fuses_unknown = false;
  TokenId unknown = no_token;
  bool strips_space = false;  ///< the decoder takes one space away from the front
};

}  // namespace io::detail
TTT_NAMESPACE_END
