// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/tokenizer/added_tokens.hpp"
#include "ttt/io/tokenizer/rewriting.hpp"
#include "ttt/io/tokenizer/splitting.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// The character that stands for a space in Llama-style vocabularies.
inline constexpr std::string_view space_mark = "\u2581";

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

  std::vector<RewritingStep> normalizer;  ///< in front of added tokens that are normalised
  std::vector<RewritingStep> marking;     ///< of the pre-tokeniser, behind them
  std::vector<SplittingStep> splitting;   ///< of the pre-tokeniser, at last

  bool is_byte_level = false;
  bool takes_whole_words = false;  ///< ignore_merges
  bool falls_back_to_bytes = false;
  bool fuses_unknown = false;
  TokenId unknown = no_token;
  bool strips_space = false;  ///< the decoder takes one space away from the front
};

}  // namespace io::detail
TTT_NAMESPACE_END
