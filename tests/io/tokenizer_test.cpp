// SPDX-License-Identifier: MIT
#include "ttt/io/tokenizer.hpp"

#include <nlohmann/json.hpp>

#include <random>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace ttt::io;
using nlohmann::json;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::read_bytes;
using Ids = std::vector<std::int64_t>;

const std::string folder = TTT_GOLDEN_DIR "/../io/tokenizer/";

json fixture(const std::string& name) { return json::parse(read_bytes(folder + name + ".json")); }
Tokenizer load(const std::string& name) { return Tokenizer::load(folder + name + ".json"); }

std::string refusal_of(const std::string& text) {
  const std::string message = error_message([&] { Tokenizer::from_json(text, "some.json"); });
  if (!message.empty()) CHECK(message.find('\n') == std::string::npos);
  return message;
}

/// The refusal of a fixture in which one value is another.
std::string refusal_of(const std::string& name, const std::string& pointer, const json& value) {
  json changed = fixture(name);
  changed[json::json_pointer(pointer)] = value;
  return refusal_of(changed.dump());
}

/// A fixture in which one value is another, as a tokenizer.
Tokenizer changed(const std::string& name, const std::string& pointer, const json& value) {
  json file = fixture(name);
  file[json::json_pointer(pointer)] = value;
  return Tokenizer::from_json(file.dump(), name);
}

/// What each id of a text stands for in it.
std::vector<std::string> parts(const Tokenizer& tokenizer, const std::string& text,
                               SpecialTokens special = SpecialTokens::keep) {
  const EncodedText encoded = tokenizer.encode_with_ends(text, special);
  CHECK(encoded.ids == tokenizer.encode(text, special));
  REQUIRE(encoded.ends.size() == encoded.ids.size());
  std::vector<std::string> result;
  ttt::Index begin = 0;
  for (const ttt::Index end : encoded.ends) {
    REQUIRE(begin <= end);
    REQUIRE(end <= static_cast<ttt::Index>(text.size()));
    result.push_back(text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    begin = end;
  }
  CHECK(begin == static_cast<ttt::Index>(encoded.ids.empty() ? 0 : text.size()));
  return result;
}

/// Why a part of a text may have become a token with this spelling, if it may.
bool explains(const std::string& part, std::string spelling) {
  const auto marks_as_spaces = [](const std::string& text) { return detail::replaced(text, "\u2581", " "); };
  const auto trimmed = [](const std::string& text) {
    const auto first = text.find('<'), last = text.rfind('>');
    return first == std::string::npos || last == std::string::npos ? text : text.substr(first, last - first + 1);
  };
  spelling = marks_as_spaces(spelling);
  return marks_as_spaces(part) == spelling || " " + marks_as_spaces(part) == spelling || trimmed(part) == spelling ||
         spelling == "<unk>";
}

std::string random_bytes(std::mt19937& random, std::size_t size) {
  // Parts of characters are frequent, so that they meet in all ways.
  const std::vector<std::string> parts{"a",        " ",        "\n",   "1",        "'s",   "é",
                                       "\xF0\x9F", "\x98\x80", "\xE6", "\x95\xB0", "\xC0", "\xFF"};
  std::string text;
  while (text.size() < size)
    text += random() % 3 ? parts[random() % parts.size()] : std::string(1, static_cast<char>(random() % 256));
  return text;
}

}  // namespace

TEST_CASE("every kind of tokenizer.json gives the ids and texts of the tokenizers package") {
  const json expected = fixture("expected");
  for (const auto& [name, results] : expected["results"].items()) {
    const Tokenizer tokenizer = load(name);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const auto text = expected["texts"][i].get<std::string>();
      const auto special = results[i]["with_special"].get<Ids>();
      CAPTURE(name, text);
      CHECK(tokenizer.encode(text) == results[i]["ids"].get<Ids>());
      CHECK(tokenizer.encode(text, SpecialTokens::add) == special);
      CHECK(tokenizer.decode(special) == results[i]["decoded"].get<std::string>());
      // The package writes special tokens that it found in the normalised text although it is told to skip them.
      if (name != "llama2_normalized")
        CHECK(tokenizer.decode(special, SpecialTokens::skip) == results[i]["skipped"].get<std::string>());
    }
    CHECK(results.size() > 40);
  }
}

TEST_CASE("every byte of a text belongs to one id, whose token it spells") {
  std::mt19937 random(4);
  const json expected = fixture("expected");
  for (const auto& [name, results] : expected["results"].items()) {
    const Tokenizer tokenizer = load(name);
    std::vector<std::string> texts = expected["texts"].get<std::vector<std::string>>();
    for (int i = 0; i < 200; ++i) texts.push_back(random_bytes(random, random() % 80));
    for (const std::string& text : texts)
      for (const auto special : {SpecialTokens::keep, SpecialTokens::add}) {
        CAPTURE(name, text);
        const auto ids = tokenizer.encode(text, special);
        const auto found = parts(tokenizer, text, special);
        for (std::size_t i = 0; i < ids.size(); ++i) {
          CAPTURE(i, found[i], tokenizer.token(ids[i]));
          const bool is_around = special == SpecialTokens::add && found[i].empty() && tokenizer.is_special(ids[i]);
          CHECK((is_around || explains(found[i], std::string(tokenizer.token(ids[i])))));
        }
      }
  }
}

TEST_CASE("ids stand for what was in the text, whatever a tokenizer makes of it") {
  using Parts = std::vector<std::string>;
  // A space that is added has no bytes, one that is there has.
  CHECK(parts(load("gpt2_prefix_space"), "!a")[0] == "");
  CHECK(parts(load("gpt2_prefix_space"), " !")[0] == " ");
  CHECK(parts(load("metaspace_unknown"), "\u2581a")[0].starts_with("\u2581"));
  // White space that a token takes beside it is its own.
  CHECK(parts(load("llama3"), "!  <|mask|> \n!") == Parts{"!", "  <|mask|> \n", "!"});
  CHECK(parts(changed("llama3", "/added_tokens/2/lstrip", false), "!  <|mask|> \n!") ==
        Parts{"!", " ", " ", "<|mask|> \n", "!"});
  CHECK(parts(changed("llama3", "/added_tokens/2/rstrip", false), "!  <|mask|> !") ==
        Parts{"!", "  <|mask|>", " ", "!"});
  // Unknown characters are one token or many.
  CHECK(parts(load("metaspace_unknown"), "数字漢") == Parts{"", "数字漢"});
  CHECK(parts(changed("metaspace_unknown", "/model/fuse_unk", false), "数字漢") == Parts{"", "数", "字", "漢"});
  CHECK(parts(load("metaspace_unknown"), "数 字") == Parts{"", "数", " ", "字"});
  // Bytes that stand in for a character have one each.
  CHECK(parts(load("llama2"), "\U00020000") == Parts{"", "\xF0", "\xA0", "\x80", "\x80"});
  // Marks around a text have none.
  CHECK(parts(load("llama2"), "", SpecialTokens::add) == Parts{"", ""});
  // Bytes of a mark that has no token: the space belongs to the last of them.
  json without_mark = fixture("llama2");
  without_mark["model"]["merges"] = json::array();
  without_mark["model"]["vocab"].erase("\u2581");
  CHECK(parts(Tokenizer::from_json(without_mark.dump(), "without"), "! !") == Parts{"", "", "", "!", "", "", " ", "!"});
}

TEST_CASE("the vocabulary of bytes has the bytes as ids") {
  const Tokenizer tokenizer = Tokenizer::bytes();
  std::string all;
  Ids ids;
  for (int byte = 0; byte < 256; ++byte) {
    all += static_cast<char>(byte);
    ids.push_back(byte);
  }
  CHECK(tokenizer.vocabulary() == 256);
  CHECK(tokenizer.encode(all) == ids);
  CHECK(tokenizer.encode(all, SpecialTokens::add) == ids);
  CHECK(tokenizer.decode(ids) == all);
  CHECK(tokenizer.encode("").empty());
}

TEST_CASE("byte-level vocabularies give every text back, whatever its bytes") {
  std::mt19937 random(1);
  for (const char* name : {"gpt2", "llama3"}) {
    const Tokenizer tokenizer = load(name);
    for (int i = 0; i < 300; ++i) {
      const std::string text = random_bytes(random, random() % 80);
      CAPTURE(name, text);
      CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    }
  }
}

TEST_CASE("with byte fallback every text without the mark of a space comes back") {
  std::mt19937 random(2);
  const Tokenizer tokenizer = load("llama2");
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_bytes(random, random() % 80);
    CAPTURE(text);
    if (!contains(text, "\u2581")) CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
}

TEST_CASE("a byte that is no UTF-8 is a symbol to the pattern") {
  const auto words = [](std::string_view text, detail::WordPattern pattern) {
    std::vector<std::string> result;
    detail::for_each_word(text, pattern, [&](std::string_view word) { result.emplace_back(word); });
    return result;
  };
  using Words = std::vector<std::string>;
  CHECK(words("a\xFF\xFE!b \xC3", detail::WordPattern::gpt2) == Words{"a", "\xFF\xFE!", "b", " \xC3"});
  CHECK(words("a\xFF\xFE!b \xC3", detail::WordPattern::llama3) == Words{"a", "\xFF\xFE!", "b", " \xC3"});
  CHECK(words("\xFF"
              "ab",
              detail::WordPattern::llama3) == Words{"\xFF"
                                                    "ab"});
}

TEST_CASE("merging with a heap and without give the same tokens") {
  detail::MergeTable merges(300);
  std::mt19937 random(3);
  const auto below = [&](std::size_t bound) { return static_cast<detail::TokenId>(random() % bound); };
  for (std::uint32_t rank = 0; rank < 300; ++rank)
    merges.insert(below(4 + rank / 8), below(4 + rank / 8), {rank, static_cast<detail::TokenId>(4 + rank)});
  for (int i = 0; i < 500; ++i) {
    std::vector<detail::TextToken> word(below(detail::short_word)), other;
    for (auto& token : word) token = {below(4), below(3)};
    other = word;
    detail::merge_short_word(word, 0, merges);
    detail::LongWord<detail::TextToken>(std::vector(other), merges).write(other, 0);
    CHECK(other == word);
  }
}

TEST_CASE("long words take no more than n log n") {
  const std::string text(400'000, 'a'), spaces(400'000, ' '), marks = std::string(200'000, 'x') + " " + spaces;
  for (const char* name : {"gpt2", "llama3", "llama2", "metaspace"}) {
    const Tokenizer tokenizer = load(name);
    for (const std::string& long_text : {text, spaces, marks})
      CHECK(tokenizer.decode(tokenizer.encode("x" + long_text)) == "x" + long_text);
  }
}

TEST_CASE("a stream of ids is decoded as it comes, also within characters") {
  const Tokenizer tokenizer = load("llama2");
  const Ids ids = tokenizer.encode("the 🫠!", SpecialTokens::add);
  StreamDecoder decoder(tokenizer, SpecialTokens::skip);
  std::string text;
  std::vector<std::size_t> sizes;
  for (const auto id : ids) {
    text += decoder.next(id);
    sizes.push_back(text.size());
  }
  CHECK(text == "the 🫠!");
  CHECK(sizes.front() == 0);
  CHECK(std::count(sizes.begin(), sizes.end(), 5U) == 1);
  CHECK(decoder.next(-1).empty());
  CHECK(decoder.next(tokenizer.vocabulary()).empty());
}

TEST_CASE("special tokens are told by the file") {
  const Tokenizer tokenizer = load("llama3");
  const std::int64_t begin = tokenizer.added_token("<|begin|>").value();
  CHECK(tokenizer.prefix() == Ids{begin});
  CHECK(tokenizer.suffix().empty());
  CHECK(tokenizer.is_special(begin));
  CHECK(tokenizer.has_token(tokenizer.added_token("<tool>").value()));
  CHECK_FALSE(tokenizer.is_special(tokenizer.added_token("<tool>").value()));
  CHECK_FALSE(tokenizer.added_token("no such"));
  CHECK(tokenizer.token(begin) == "<|begin|>");
  CHECK(load("llama2").suffix() == Ids{2});
}

TEST_CASE("merges may be lists of two") {
  json changed = fixture("gpt2");
  json strings = changed["model"]["merges"], pairs = json::array();
  // The package writes one form or the other, by its version.
  for (const auto& merge : changed["model"]["merges"]) {
    if (merge.is_array()) {
      pairs.push_back(merge);
      strings[pairs.size() - 1] = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    } else {
      const auto text = merge.get<std::string>();
      pairs.push_back({text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)});
    }
  }
  const std::string text = "the state of the model";
  changed["model"]["merges"] = strings;
  const Ids by_strings = Tokenizer::from_json(changed.dump(), "strings").encode(text);
  changed["model"]["merges"] = pairs;
  CHECK(Tokenizer::from_json(changed.dump(), "pairs").encode(text) == by_strings);
  CHECK(by_strings == load("gpt2").encode(text));
}

TEST_CASE("what cannot be done exactly is refused by name") {
  const json split{{"type", "Split"}, {"pattern", {{"Regex", "\\w+"}}}, {"behavior", "Isolated"}, {"invert", false}};
  const json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const std::vector<std::tuple<std::string, std::string, json, std::vector<std::string>>> cases{
      {"gpt2", "/model/type", "Unigram", {"'model.type'", "'BPE'", "Unigram"}},
      {"gpt2", "/model/type", "WordPiece", {"'model.type'", "WordPiece"}},
      {"gpt2", "/model/dropout", 0.1, {"'model.dropout'", "0.1"}},
      {"gpt2", "/model/end_of_word_suffix", "</w>", {"'model.end_of_word_suffix'", "</w>"}},
      {"gpt2", "/model/continuing_subword_prefix", "##", {"'model.continuing_subword_prefix'", "##"}},
      {"gpt2", "/model/unk_token", "no such", {"'model.unk_token'", "no such"}},
      {"gpt2", "/model/ignore_merges", 1, {"'model.ignore_merges'", "true or false"}},
      {"gpt2", "/normalizer", {{"type", "NFC"}}, {"'normalizer.type'", "NFC"}},
      {"gpt2", "/pre_tokenizer", {{"type", "Whitespace"}}, {"'pre_tokenizer.type'", "Whitespace"}},
      {"gpt2",
       "/pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}},
       {"Regex", "GPT-2", "w+"}},
      {"llama3", "/pre_tokenizer/pretokenizers/0/behavior", "Removed", {"behavior", "Removed"}},
      {"llama3", "/pre_tokenizer/pretokenizers/0/invert", true, {"invert", "true"}},
      {"llama3", "/pre_tokenizer/pretokenizers/1/use_regex", true, {"use_regex", "true"}},
      {"llama3", "/pre_tokenizer/pretokenizers/1/add_prefix_space", true, {"add_prefix_space", "true"}},
      {"llama3", "/pre_tokenizer/pretokenizers/1/type", "Digits", {"type", "Digits"}},
      {"gpt2", "/decoder", nullptr, {"'decoder'", "ByteLevel", "none"}},
      {"llama2", "/decoder/decoders/1/type", "WordPiece", {"'decoder'", "ByteFallback", "WordPiece"}},
      {"llama2", "/decoder/decoders/3/start", 2, {"start", "2"}},
      {"llama2", "/normalizer/normalizers/1/content", "_", {"'normalizer.normalizers.1.content'", "_"}},
      {"llama2", "/normalizer/normalizers/1/type", "NFKC", {"NFKC"}},
      {"llama2", "/model/ignore_merges", true, {"'model.ignore_merges'"}},
      {"llama2", "/post_processor/type", "BertProcessing", {"'post_processor.type'", "BertProcessing"}},
      {"llama2", "/post_processor/special_tokens/<s>/ids", {70000}, {"special_tokens", "70000"}},
      {"metaspace", "/pre_tokenizer/replacement", "_", {"'pre_tokenizer.replacement'", "_"}},
      {"metaspace", "/pre_tokenizer/prepend_scheme", "last", {"'pre_tokenizer.prepend_scheme'", "last"}},
      {"metaspace", "/pre_tokenizer/add_prefix_space", false, {"'pre_tokenizer.add_prefix_space'"}},
      {"metaspace_unknown", "/model/unk_token", nullptr, {"'model.unk_token'", "byte_fallback"}},
      {"llama3", "/added_tokens/0/single_word", true, {"'added_tokens.0.single_word'", "true"}},
      {"llama3", "/added_tokens/0/content", "", {"'added_tokens.0.content'"}},
      {"llama3", "/added_tokens/1/content", "<|begin|>", {"'added_tokens.1.content'", "once"}},
      {"llama3", "/added_tokens/0/id", 0, {"<|begin|>", "an id of its own"}},
      {"llama2", "/added_tokens/1/id", 7, {"'added_tokens.1.id'", "1, as in model.vocab", "7"}},
      {"gpt2", "/truncation", {{"max_length", 512}}, {"'truncation'", "512"}},
      {"gpt2", "/padding", {{"strategy", "BatchLongest"}}, {"'padding'"}},
      {"gpt2", "/model", nullptr, {"'model'", "an object"}},
      {"gpt2", "/model/vocab", json::array({json::array({"a", 0.5})}), {"'model.vocab'", "an object"}},
      {"gpt2", "/model/merges", "a b", {"'model.merges'", "a list"}},
      {"gpt2", "/added_tokens", "x", {"'added_tokens'", "a list"}},
      {"gpt2", "/added_tokens", json::array({1}), {"'added_tokens.0'", "an object"}},
  };
  for (const auto& [name, pointer, value, parts] : cases) {
    const std::string message = refusal_of(name, pointer, value);
    CAPTURE(name, pointer, value.dump(), message);
    CHECK(message.starts_with("some.json, "));
    for (const auto& part : parts) CHECK(contains(message, part));
  }
}

TEST_CASE("files that were made to break readers are refused") {
  const json gpt2 = fixture("gpt2");
  const auto changed = [&](const char* pointer, const json& value) { return refusal_of("gpt2", pointer, value); };
  CHECK(contains(changed("/model/vocab/x y", 4'000'000'000U), "'x y'", "an id below", "4000000000"));
  CHECK(contains(changed("/model/vocab/x y", 5), "an id of its own", "5 again"));
  CHECK(contains(changed("/model/vocab/x y", -1), "'x y'", "a whole number", "a negative number"));
  CHECK(contains(changed("/model/vocab/x y", 1.5), "a whole number", "a fraction"));
  CHECK(contains(changed("/model/vocab/x y", "1"), "a whole number", "a string"));
  CHECK(contains(changed("/model/vocab/x y", json::array()), "a whole number", "a list"));
  CHECK(contains(changed("/model/merges/0", "abc"), "merge 0", "two tokens", "abc"));
  CHECK(contains(changed("/model/merges/1", "a b c"), "merge 1", "a b c"));
  CHECK(contains(changed("/model/merges/1", {"a"}), "merge 1", "a list of 1"));
  CHECK(contains(changed("/model/merges/1", {"a", "b", "c"}), "merge 1", "two tokens"));
  CHECK(contains(changed("/model/merges/1", {"a", {"b"}}), "merge 1", "two tokens"));
  CHECK(contains(changed("/model/merges/1", 7), "merge 1", "a number"));
  CHECK(contains(changed("/model/merges/1", "no such"), "merge 1", "tokens of the vocabulary", "'no'"));
  CHECK(contains(changed("/model/merges/1", gpt2["model"]["merges"][0]), "merge 1", "every pair once"));
  CHECK(contains(changed("/added_tokens/0/content", std::string(257, 'x')), "content", "256 bytes"));

  json repeated = fixture("llama2");
  for (int i = 0; i < 101; ++i) repeated["post_processor"]["special_tokens"]["<s>"]["ids"].push_back(1);
  CHECK(contains(refusal_of(repeated.dump()), "'post_processor.single'", "at most 100"));

  json lacking = gpt2;
  lacking["model"]["merges"] = json::array();
  lacking["model"]["vocab"].erase("!");
  CHECK(contains(refusal_of(lacking.dump()), "a token for every byte", "none for byte 33"));

  const std::string text = gpt2.dump();
  CHECK(contains(refusal_of("{\"a\":1,\"a\":2}"), "every key once", "'a' again"));
  std::string doubled = text;
  doubled.insert(doubled.find("\"vocab\":{") + 9, "\"!\":999,");
  CHECK(contains(refusal_of(doubled), "'!'", "one entry in model.vocab", "two"));
  CHECK(contains(refusal_of(std::string(3000, '[')), "levels of JSON"));
  CHECK(contains(refusal_of("{\"model\":{\"merges\":" + std::string(3000, '[')), "two tokens"));
  CHECK(contains(refusal_of("{\"model\":{\"vocab\":" + std::string(3000, '[')), "levels of JSON"));
  std::string values = "{\"a\":[0";
  for (int i = 0; i < 250'000; ++i) values += ",0";
  CHECK(contains(refusal_of(values + "]}"), "at most 200000 values"));
  CHECK(contains(refusal_of(""), "a syntax error"));
  CHECK(contains(refusal_of("[]"), "a JSON object", "array"));
  CHECK(contains(refusal_of("{\"a\":1e999}"), "out of range"));
  CHECK(contains(refusal_of("{\"a\":\"\xFF\"}"), "a syntax error"));
  CHECK(contains(refusal_of(std::string(detail::maximum_tokenizer_size + 1, ' ')), "at most", "bytes"));
  for (std::size_t size = 0; size < text.size(); size += 97) CHECK_FALSE(refusal_of(text.substr(0, size)).empty());
}

TEST_CASE("tokens that were made to hash alike are refused and not waited for") {
  detail::MergeTable table(5000);
  std::string message;
  // mix() of a key is undone, so that all of them want the same slot.
  const auto same_slot = [](std::uint64_t wanted) {
    std::uint64_t inverse = 0xD6E8FEB86659FD93ULL;
    for (int i = 0; i < 6; ++i) inverse *= 2 - 0xD6E8FEB86659FD93ULL * inverse;
    std::uint64_t value = wanted ^ (wanted >> 32);
    value *= inverse;
    value = (value ^ (value >> 32)) * inverse;
    return value ^ (value >> 32);
  };
  REQUIRE(detail::mix(same_slot(123ULL << 40)) == 123ULL << 40);
  message = error_message([&] {
    for (std::uint64_t i = 1; i < 5000; ++i) {
      const std::uint64_t key = same_slot(i << 40);
      table.insert(static_cast<detail::TokenId>(key >> 32), static_cast<detail::TokenId>(key), {0, 1});
    }
  });
  CHECK(contains(message, "hash apart"));
}

TEST_CASE("a file that is not there is named") {
  CHECK(contains(error_message([] { Tokenizer::load("/nowhere/tokenizer.json"); }), "/nowhere/tokenizer.json"));
}
