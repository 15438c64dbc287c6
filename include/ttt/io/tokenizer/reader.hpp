// SPDX-License-Identifier: MIT
/// @file
/// From the JSON of a tokenizer.json to what it says; whatever cannot be done exactly is refused by name.
#pragma once

#include <optional>
#include <utility>

#include "ttt/io/tokenizer/description.hpp"
#include "ttt/io/tokenizer/fields.hpp"
#include "ttt/io/tokenizer/json_text.hpp"
#include "ttt/io/tokenizer/steps_reader.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// Reads one tokenizer.json. Throws Error in one line: file, key, expected, found.
class TokenizerReader {
 public:
  TokenizerReader(std::string_view text, std::string file)
      : file_(std::move(file)), size_(text.size()), json_(read_tokenizer_json(text, file_)) {}

  TokenizerDescription read() {
    const Fields root(json_.rest, file_, "");
    for (const char* key : {"truncation", "padding"})
      if (root.has(key)) root.fail(key, "null: every text keeps its own length");
    result_.normalizer = read_normalizer(root);
    PreTokenizerReader(result_).read(root);
    read_model(root.object("model"));
    read_added_tokens(root);
    read_post_processor(root);
    read_decoder(root);
    return std::move(result_);
  }

 private:
  void read_model(const Fields& model) {
    // The file of GPT-2 is older than the key.
    if (model.has("type")) model.require_text("type", "BPE");
    if (!json_.vocabulary_found) model.fail("vocab", "an object");
    if (!json_.merges_found) model.fail("merges", "a list");
    if (model.has("dropout") && model.number("dropout") != 0)
      model.fail("dropout", "null: ids do not depend on chance");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (model.has(key) && !model.text(key).empty()) model.fail(key, "null");
    result_.takes_whole_words = model.flag("ignore_merges", false);
    if (result_.takes_whole_words && !result_.is_byte_level) model.fail("ignore_merges", "false without ByteLevel");
    result_.falls_back_to_bytes = model.flag("byte_fallback", false);
    result_.fuses_unknown = model.flag("fuse_unk", false);
    read_vocabulary();
    read_merges();
    const std::string unknown = model.has("unk_token") ? model.text("unk_token") : "";
    if (!unknown.empty() && (result_.unknown = tokens_->find(unknown)) == no_token)
      model.fail("unk_token", "a token of the vocabulary");
    if (!result_.is_byte_level && !result_.falls_back_to_bytes && unknown.empty())
      model.fail("unk_token", "a token, as byte_fallback is false");
  }

  std::string token_name(const std::string& text) const { return file_ + ", token '" + printable(text) + "'"; }

  /// Takes an id, which no other token may have.
  TokenId take_id(std::uint64_t id, const std::string& text) {
    if (id >= is_taken_.size())
      throw_unexpected(token_name(text),
                       "an id below " + std::to_string(is_taken_.size()) + ", a quarter of the file's bytes",
                       std::to_string(id));
    if (is_taken_[id]) throw_unexpected(token_name(text), "an id of its own", std::to_string(id) + " again");
    is_taken_[id] = true;
    return static_cast<TokenId>(id);
  }

  void read_vocabulary() {
    // A token takes five bytes of the file at least, so that only lists with large gaps are kept out.
    is_taken_.resize(size_ / 4);
    tokens_.emplace(json_.vocabulary.size(), size_ / 2);
    for (auto& [text, number] : json_.vocabulary) {
      const TokenId id = take_id(number, text);
      if (!tokens_->insert(text, id)) throw_unexpected(token_name(text), "one entry in model.vocab", "two");
      result_.tokens.push_back({std::move(text), id});
    }
    json_.vocabulary = {};
  }

  void read_merges() {
    for (const auto& [left, right] : json_.merges) {
      const TokenizerDescription::MergeIds ids{tokens_->find(left), tokens_->find(right), tokens_->find(left + right)};
      const auto check = [&](TokenId id, const std::string& text) {
        if (id == no_token)
          throw_unexpected(file_ + ", key 'model.merges', merge " + std::to_string(result_.merges.size()),
                           "tokens of the vocabulary", "'" + printable(text) + "'");
      };
      check(ids.left, left);
      check(ids.right, right);
      check(ids.token, left + right);
      result_.merges.push_back(ids);
    }
    json_.merges = {};
  }

  void read_added_tokens(const Fields& root) {
    TextTable contents(root.list("added_tokens").size(), 0);
    for (const Fields& entry : root.list("added_tokens")) {
      AddedToken token;
      token.content = entry.text("content");
      if (token.content.empty() || token.content.size() > longest_added_token)
        entry.fail("content", "1 to " + std::to_string(longest_added_token) + " bytes");
      token.is_single_word = entry.flag("single_word", false);
      token.strips_left = entry.flag("lstrip", false);
      token.strips_right = entry.flag("rstrip", false);
      token.is_normalized = entry.flag("normalized", false);
      token.is_special = entry.flag("special", false);
      token.id = added_id(entry, token.content);
      if (!contents.insert(token.content, token.id)) entry.fail("content", "each content once");
      result_.added.push_back(std::move(token));
    }
  }

  TokenId added_id(const Fields& entry, const std::string& content) {
    const std::uint64_t id = entry.whole("id");
    const TokenId known = tokens_->find(content);
    if (known == no_token) return take_id(id, content);
    if (id != known) entry.fail("id", std::to_string(known) + ", as in model.vocab");
    return known;
  }

  void read_post_processor(const Fields& root) {
    bool is_template_read = false;
    for (const Fields& part : components(root, "post_processor", "processors")) {
      const std::string type = part.type();
      if (type == "ByteLevel") continue;
      if (type != "TemplateProcessing" || is_template_read) part.fail("type", "ByteLevel, or TemplateProcessing once");
      is_template_read = true;
      read_template(part);
    }
  }

  void read_template(const Fields& part) {
    bool is_text_seen = false;
    for (const Fields& piece : part.list("single")) {
      if (piece.has("Sequence")) {
        if (is_text_seen) part.fail("single", "the text once");
        is_text_seen = true;
        continue;
      }
      const std::string name = piece.object("SpecialToken").text("id");
      for (const std::uint64_t id : part.object("special_tokens").object(name).whole_numbers("ids")) {
        if (id >= is_taken_.size() || !is_taken_[id]) part.fail("special_tokens", "ids of tokens", std::to_string(id));
        if (result_.prefix.size() + result_.suffix.size() == most_around)
          part.fail("single", "at most " + std::to_string(most_around) + " special tokens", "more");
        (is_text_seen ? result_.suffix : result_.prefix).push_back(static_cast<TokenId>(id));
      }
    }
    if (!is_text_seen) part.fail("single", "a Sequence");
  }

  static constexpr std::size_t most_around = 100;

  void read_decoder(const Fields& root) {
    std::string types;
    for (const Fields& part : components(root, "decoder", "decoders")) {
      const std::string type = part.type();
      types += (types.empty() ? "" : ", ") + type;
      if (type == "Replace") {
        part.object("pattern").require_text("String", space_mark);
        part.require_text("content", " ");
      } else if (type == "Strip") {
        part.require_text("content", " ");
        if (part.whole("start") > 1) part.fail("start", "0 or 1");
        if (part.whole("stop") != 0) part.fail("stop", "0");
        result_.strips_space = part.whole("start") == 1;
      }
    }
    const std::string expected = result_.is_byte_level         ? "ByteLevel"
                                 : result_.falls_back_to_bytes ? "Replace, ByteFallback, Fuse"
                                                               : "Replace, Fuse";
    if (types != expected && (result_.is_byte_level || types != expected + ", Strip"))
      root.fail("decoder", expected + (result_.is_byte_level ? "" : " and perhaps Strip"),
                types.empty() ? "none" : types);
  }

  std::string file_;
  std::size_t size_;
  TokenizerJson json_;
  TokenizerDescription result_;
  std::optional<TextTable> tokens_;
  std::vector<bool> is_taken_;
};

}  // namespace io::detail
TTT_NAMESPACE_END
