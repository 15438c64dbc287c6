// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/io/tokenizer/byte_alphabet.hpp"
#include "ttt/io/tokenizer/description.hpp"
#include "ttt/io/tokenizer/merging.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// How a vocabulary of characters spells a byte.
inline std::string byte_token(unsigned byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
}

/// The byte that a token of such a vocabulary stands for, if any.
inline std::optional<char> byte_of_token(std::string_view text) {
  for (unsigned byte = 0; text.size() == 6 && text.starts_with("<0x") && byte < 256; ++byte)
    if (byte_token(byte) == text) return static_cast<char>(byte);
  return std::nullopt;
}

inline std::string replaced(std::string_view text, std::string_view part, std::string_view replacement) {
  std::string result;
  for (std::size_t place = text.find(part); place != std::string_view::npos; place = text.find(part)) {
    result.append(text.substr(0, place)).append(replacement);
    text.remove_prefix(place + part.size());
  }
  return result.append(text);
}

/// Byte-pair encoding (Gage 1994; Sennrich et al. 2016) of words, over bytes or over characters with bytes for those
/// that have no token.
class BpeModel {
 public:
  /// Throws Error, naming `file`, when there is no token for some byte to fall back to.
  BpeModel(const TokenizerDescription& description, const std::string& file)
      : is_byte_level_(description.is_byte_level),
        falls_back_to_bytes_(description.falls_back_to_bytes),
        fuses_unknown_(description.fuses_unknown),
        unknown_(description.unknown),
        words_(description.tokens.size(), 8 * description.tokens.size()),
        merges_(description.merges.size()),
        joined_(description.merges.size()) {
    read_tokens(description, file);
    std::uint32_t rank = 0;
    for (const auto& merge : description.merges) {
      if (!merges_.insert(merge.left, merge.right, {rank, merge.token}))
        throw_unexpected(file + ", key 'model.merges', merge " + std::to_string(rank), "every pair once", "one again");
      ++rank;
    }
    has_merges_ = rank > 0;
    if (!is_byte_level_) find_joined(description);
    find_whole_words(description);
  }

  /// Appends the tokens of a word, which ends at `end` in its text.
  template <class Token>
  void encode(std::string_view word, std::size_t end, std::vector<Token>& tokens) const {
    const std::size_t begin = end - word.size();
    is_byte_level_ ? encode_bytes(word, begin, tokens) : encode_characters(word, begin, tokens);
  }

 private:
  template <class Token>
  void encode_bytes(std::string_view word, std::size_t begin, std::vector<Token>& tokens) const {
    if (const TokenId id = words_.find(word); id != no_token && is_whole_[id])
      return tokens.push_back({id, begin + word.size()});
    const std::size_t start = tokens.size();
    bool is_unknown = false;
    for (const char byte : word) {
      const TokenId id = bytes_[static_cast<unsigned char>(byte)];
      ++begin;
      if (id != no_token)
        tokens.push_back({id, begin});
      else
        add_unknown(begin, is_unknown, tokens);
      is_unknown = id == no_token;
    }
    if (has_merges_) merge_word(tokens, start, merges_);
  }

  template <class Token>
  void encode_characters(std::string_view word, std::size_t begin, std::vector<Token>& tokens) const {
    Piece piece{0, tokens.size()};
    for (std::size_t place = 0; place < word.size();) {
      const std::size_t valid = utf8_sequence_length(word.substr(place));
      const std::string_view character = word.substr(place, valid > 0 ? valid : 1);
      const TokenId id = valid == 1  ? ascii_[static_cast<unsigned char>(character.front())]
                         : valid > 0 ? words_.find(character)
                                     : no_token;
      if (place > piece.begin && can_split(piece.last, id)) {
        finish(word.substr(piece.begin, place - piece.begin), begin + place, piece, tokens);
        piece = {place, tokens.size()};
      }
      place += character.size();
      if (id != no_token)
        tokens.push_back({id, begin + place});
      else
        add_bytes(character, begin + place, piece, tokens);
      piece.last = id;
    }
    finish(word.substr(piece.begin), begin + word.size(), piece, tokens);
  }

  /// A part of a text that no merge reaches out of.
  struct Piece {
    std::size_t begin = 0;    ///< in the text
    std::size_t start = 0;    ///< in the tokens
    TokenId last = no_token;  ///< of its last character, which may have none
    bool has_unknown = false;
  };

  bool can_split(TokenId last, TokenId next) const {
    return last != no_token && next != no_token && joined_.find(last, next).token == no_token;
  }

  template <class Token>
  void finish(std::string_view text, std::size_t end, const Piece& piece, std::vector<Token>& tokens) const {
    const TokenId id = piece.has_unknown ? no_token : words_.find(text);
    if (id == no_token || !is_whole_[id]) return merge_word(tokens, piece.start, merges_);
    tokens.resize(piece.start);
    tokens.push_back({id, end});
  }

  /// A character without a token, which ends at `end`.
  template <class Token>
  void add_bytes(std::string_view character, std::size_t end, Piece& piece, std::vector<Token>& tokens) const {
    const bool follows_unknown = piece.has_unknown && piece.last == no_token;
    piece.has_unknown = true;
    if (!falls_back_to_bytes_) return add_unknown(end, follows_unknown, tokens);
    end -= character.size();
    for (const char byte : character) tokens.push_back({bytes_[static_cast<unsigned char>(byte)], ++end});
  }

  /// What the vocabulary does not have: a token for it, which may go on, or nothing.
  template <class Token>
  void add_unknown(std::size_t end, bool follows_unknown, std::vector<Token>& tokens) const {
    if (unknown_ == no_token) return;
    if (!fuses_unknown_ || !follows_unknown)
      tokens.push_back({unknown_, end});
    else if constexpr (Token::has_end)
      tokens.back().end = end;
  }

  void read_tokens(const TokenizerDescription& description, const std::string& file) {
    TokenId largest = 0;
    for (const auto& token : description.tokens) {
      largest = std::max(largest, token.id);
      // One with a character that stands for no byte is never found in a text.
      const auto bytes = is_byte_level_ ? byte_alphabet.read(token.text) : std::optional(token.text);
      if (bytes) words_.insert(*bytes, token.id);
    }
    is_whole_.resize(std::size_t{largest} + 1);
    for (std::size_t byte = 0; byte < ascii_.size(); ++byte)
      ascii_[byte] = words_.find(std::string(1, static_cast<char>(byte)));
    for (unsigned byte = 0; byte < 256 && (is_byte_level_ || falls_back_to_bytes_); ++byte) {
      const std::string text = is_byte_level_ ? std::string(1, static_cast<char>(byte)) : byte_token(byte);
      bytes_[byte] = words_.find(text);
      if (bytes_[byte] == no_token && falls_back_to_bytes_)
        throw_unexpected(file + ", key 'model.vocab'", "a token for every byte",
                         "none for byte " + std::to_string(byte));
    }
  }

  /// Pairs of characters that stand side by side across a merge: between all others a text can be cut.
  void find_joined(const TokenizerDescription& description) {
    std::vector<std::string_view> texts(is_whole_.size());
    for (const auto& token : description.tokens) texts[token.id] = token.text;
    for (const auto& merge : description.merges) {
      const std::string_view left = texts[merge.left], right = texts[merge.right];
      if (left.empty() || right.empty()) continue;
      std::size_t start = left.size() - 1;
      while (start > 0 && (static_cast<unsigned char>(left[start]) & 0xC0) == 0x80) --start;
      const TokenId last = words_.find(left.substr(start));
      const TokenId first = words_.find(right.substr(0, utf8_sequence_length(right)));
      if (last != no_token && first != no_token) joined_.insert(last, first, {0, last});
    }
  }

  /// Tokens that their own text is merged to: no other merge has to be looked for.
  void find_whole_words(const TokenizerDescription& description) {
    std::vector<IdToken> tokens;
    std::vector<bool> found(is_whole_.size(), description.takes_whole_words);
    for (const auto& token : description.tokens) {
      if (description.takes_whole_words) break;
      tokens.clear();
      const auto text = is_byte_level_ ? byte_alphabet.read(token.text) : std::optional(token.text);
      if (text) encode(*text, text->size(), tokens);
      found[token.id] = tokens.size() == 1 && tokens.front().id == token.id;
    }
    is_whole_ = std::move(found);
  }

  bool is_byte_level_, falls_back_to_bytes_, fuses_unknown_;
  bool has_merges_ = false;
  TokenId unknown_;
  std::array<TokenId, 256> bytes_{};
  std::array<TokenId, 128> ascii_{};  ///< of characters of one byte
  TextTable words_;                   ///< by what is in the text
  std::vector<bool> is_whole_;
  MergeTable merges_, joined_;
};

}  // namespace io::detail
TTT_NAMESPACE_END
