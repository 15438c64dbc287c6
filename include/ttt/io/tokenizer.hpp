// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/lfs_pointer.hpp"
#include "ttt/io/tokenizer/encoded_text.hpp"
#include "ttt/io/tokenizer/model.hpp"
#include "ttt/io/tokenizer/reader.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// What happens to special tokens, such as the marks of a text's beginning and end.
enum class SpecialTokens {
  keep,  ///< encode: none is added; decode: they are written as they are spelt
  add,   ///< encode: those that the post-processor of the file puts around a text
  skip   ///< decode: nothing is written for them
};

/// Token ids of texts and back: bytes, or what a tokenizer.json says. A value, safe to use from many threads at once.
///
/// Byte-level vocabularies with all bytes, and bytes, give every text back in its normal form, whatever it consists of:
/// a byte that is no UTF-8 counts as a symbol to the patterns that split words. Bytes without a token are left out.
/// Llama-style vocabularies give back every text without U+2581 (which stands for a space in them) as long as they have
/// tokens for bytes; with a Metaspace "first" or "always" a text loses a space at its beginning. Ids are those of the
/// Python package `tokenizers`.
class Tokenizer {
 public:
  /// The vocabulary of bytes: 256 ids, each its byte.
  static Tokenizer bytes() {
    detail::TokenizerDescription description;
    description.is_byte_level = true;
    for (detail::TokenId byte = 0; byte < 256; ++byte)
      description.tokens.push_back({detail::byte_alphabet.spell(std::string(1, static_cast<char>(byte))), byte});
    return Tokenizer(std::move(description), "bytes");
  }

  /// Reads the text of a tokenizer.json, called `file` in messages.
  ///
  /// Known are: BPE over bytes or over characters (with byte fallback or an unknown token), the normalisers NFC,
  /// Prepend and Replace, the pre-tokenisers Split (detail::PatternParser), Digits, Punctuation, ByteLevel and
  /// Metaspace, each one or many in any order, added tokens, TemplateProcessing. Everything else that would change ids
  /// is an Error: one line with file, key, what was expected and what was found.
  static Tokenizer from_json(std::string_view text, const std::string& file) {
    detail::TokenizerDescription description = detail::TokenizerReader(text, file).read();
    return Tokenizer(std::move(description), file);
  }

  /// The same from a file.
  static Tokenizer load(const std::filesystem::path& path) {
    refuse_lfs_pointer(path);
    return from_json(read_text_file(path, detail::maximum_tokenizer_size), path.string());
  }

  /// Ids are below this number; some of them may have no token.
  Index vocabulary() const { return static_cast<Index>(entries_.size()); }

  /// Ids of a text. Added tokens are found wherever they are spelt in it.
  std::vector<std::int64_t> encode(std::string_view text, SpecialTokens special = SpecialTokens::keep) const {
    std::vector<std::int64_t> ids;
    const auto tokens = tokens_of<detail::IdToken>(text, special);
    ids.reserve(tokens.size());
    for (const auto& token : tokens) ids.push_back(token.id);
    return ids;
  }

  /// The same, with the bytes of the text that each id stands for: all of them, whatever is added, replaced, taken by a
  /// token beside it or unknown to the vocabulary.
  EncodedText encode_with_ends(std::string_view text, SpecialTokens special = SpecialTokens::keep) const {
    EncodedText result;
    for (const auto& token : tokens_of<detail::TextToken>(text, special)) {
      result.ids.push_back(token.id);
      result.ends.push_back(static_cast<Index>(token.end));
    }
    return result;
  }

  /// The bytes that ids stand for; an id without a token stands for none.
  std::string decode(std::span<const std::int64_t> ids, SpecialTokens special = SpecialTokens::keep) const;

  /// The bytes of one token within a text; none for an id without a token.
  std::string_view token(std::int64_t id) const {
    return has_token(id) ? std::string_view(entries_[static_cast<std::size_t>(id)].text) : std::string_view();
  }
  bool has_token(std::int64_t id) const {
    return id >= 0 && id < vocabulary() && entries_[static_cast<std::size_t>(id)].exists;
  }
  /// Whether the file calls the token special.
  bool is_special(std::int64_t id) const { return has_token(id) && entries_[static_cast<std::size_t>(id)].is_special; }

  /// Id of the added token that is spelt so.
  std::optional<std::int64_t> added_token(std::string_view content) const {
    for (const auto& token : description_.added)
      if (token.content == content) return token.id;
    return std::nullopt;
  }
  /// Ids that the post-processor puts before and after a text: the marks of its beginning and end, often none.
  std::vector<std::int64_t> prefix() const { return {description_.prefix.begin(), description_.prefix.end()}; }
  std::vector<std::int64_t> suffix() const { return {description_.suffix.begin(), description_.suffix.end()}; }

  /// Whether a decoded text loses the space that stands for its beginning.
  bool strips_first_space() const { return description_.strips_space; }

 private:
  /// What a token is decoded to.
  struct Entry {
    std::string text;
    bool exists = false, is_special = false;
  };

  Tokenizer(detail::TokenizerDescription description, const std::string& file)
      : model_(description, file),
        plain_added_(added_tokens(description, false)),
        normalized_added_(added_tokens(description, true)) {
    for (const auto& token : description.tokens) entry(token.id) = {decoded(description, token.text), true, false};
    for (const auto& token : description.added) {
      // As the normaliser leaves it, with the space in front that it was found behind.
      if (token.is_normalized && !description.is_byte_level && !description.normalizer.empty())
        entry(token.id).text = detail::replaced(normalized(description, token.content), detail::space_mark, " ");
      else if (!has_token(token.id))
        entry(token.id).text = token.content;
      entry(token.id).exists = true;
      entry(token.id).is_special = token.is_special;
    }
    // The model has its own form of them.
    description.tokens = {};
    description.merges = {};
    description_ = std::move(description);
  }

  Entry& entry(detail::TokenId id) {
    if (id >= entries_.size()) entries_.resize(std::size_t{id} + 1);
    return entries_[id];
  }

  static std::string decoded(const detail::TokenizerDescription& description, const std::string& text) {
    if (description.is_byte_level) return detail::byte_alphabet.read(text).value_or(text);
    if (description.falls_back_to_bytes)
      if (const auto byte = detail::byte_of_token(text)) return std::string(1, *byte);
    return detail::replaced(text, detail::space_mark, " ");
  }

  static std::string normalized(const detail::TokenizerDescription& description, std::string_view text) {
    return std::string(detail::rewritten(text, description.normalizer, true, false).text());
  }

  static std::vector<detail::AddedToken> added_tokens(const detail::TokenizerDescription& description,
                                                      bool normalized_ones) {
    std::vector<detail::AddedToken> tokens;
    for (const auto& token : description.added) {
      if (token.is_normalized != normalized_ones) continue;
      tokens.push_back(token);
      if (normalized_ones) tokens.back().content = normalized(description, token.content);
    }
    return tokens;
  }

  template <class Token>
  std::vector<Token> tokens_of(std::string_view text, SpecialTokens special) const {
    std::vector<Token> tokens;
    tokens.reserve(text.size() / 4);
    const auto add = [&](const std::vector<detail::TokenId>& ids, std::size_t end) {
      for (const detail::TokenId id : ids) tokens.push_back({id, end});
    };
    if (special == SpecialTokens::add) add(description_.prefix, 0);
    plain_added_.split(
        text, [&](std::size_t start, std::size_t end) { encode_text(text.substr(start, end - start), start, tokens); },
        [&](detail::TokenId id, std::size_t end) {
          tokens.push_back({id, end});
        });
    // What the vocabulary does not have at the end of a text is left to the token in front of it.
    if constexpr (Token::has_end)
      if (!tokens.empty()) tokens.back().end = text.size();
    if (special == SpecialTokens::add) add(description_.suffix, text.size());
    return tokens;
  }

  /// A text from `offset` on in which no added token is left that is looked for in front of the normaliser.
  template <class Token>
  void encode_text(std::string_view text, std::size_t offset, std::vector<Token>& tokens) const {
    const std::size_t first = tokens.size();
    const auto changed = detail::rewritten(text, description_.normalizer, offset == 0, Token::has_end);
    normalized_added_.split(
        changed.text(),
        [&](std::size_t start, std::size_t end) {
          encode_words(changed.text().substr(start, end - start), start, offset + start == 0, tokens);
        },
        [&](detail::TokenId id, std::size_t end) {
          tokens.push_back({id, end});
        });
    place_ends(changed, offset, std::span(tokens).subspan(first));
  }

  template <class Token>
  void encode_words(std::string_view text, std::size_t offset, bool is_beginning, std::vector<Token>& tokens) const {
    const std::size_t first = tokens.size();
    const auto changed = detail::rewritten(text, description_.marking, is_beginning, Token::has_end);
    const char* const begin = changed.text().data();
    detail::for_each_word(changed.text(), description_.splitting, [&](std::string_view word) {
      model_.encode(word, static_cast<std::size_t>(word.data() - begin) + word.size(), tokens);
    });
    place_ends(changed, offset, std::span(tokens).subspan(first));
  }

  /// Ends in a changed text become those in the text in which its original begins at `offset`.
  template <class Token>
  static void place_ends(const detail::RewrittenText& changed, std::size_t offset, std::span<Token> tokens) {
    if constexpr (Token::has_end)
      for (Token& token : tokens) token.end = offset + changed.original_end(token.end);
  }

  detail::TokenizerDescription description_;  ///< without tokens and merges
  detail::BpeModel model_;
  detail::AddedTokens plain_added_, normalized_added_;
  std::vector<Entry> entries_;  ///< by id
};

/// Decodes ids as they come. What it has written so far may end within a character: the rest comes with the next ids.
class StreamDecoder {
 public:
  /// The tokenizer must outlive it.
  explicit StreamDecoder(const Tokenizer& tokenizer, SpecialTokens special = SpecialTokens::keep)
      : tokenizer_(&tokenizer), skips_(special == SpecialTokens::skip), strips_(tokenizer.strips_first_space()) {}

  /// The bytes that `id` adds to the text; they live as long as the tokenizer.
  std::string_view next(std::int64_t id) {
    if (skips_ && tokenizer_->is_special(id)) return {};
    std::string_view text = tokenizer_->token(id);
    if (text.empty()) return text;
    if (strips_ && text.front() == ' ') text.remove_prefix(1);
    strips_ = false;
    return text;
  }

 private:
  const Tokenizer* tokenizer_;
  bool skips_, strips_;
};

inline std::string Tokenizer::decode(std::span<const std::int64_t> ids, SpecialTokens special) const {
  StreamDecoder decoder(*this, special);
  std::string text;
  for (const std::int64_t id : ids) text += decoder.next(id);
  return text;
}

}  // namespace io
TTT_NAMESPACE_END
