// SPDX-License-Identifier: MIT
#include "ttt/io/tokenizer.hpp"

#include <tuple>

#include "io/tokenizer/fixtures.hpp"
#include "support/error_message.hpp"

namespace {

using namespace ttt::io;
using namespace ttt::testing;
using nlohmann::json;

std::string refusal_of(const std::string& text) {
  const std::string message = error_message([&] { Tokenizer::from_json(text, "some.json"); });
  if (!message.empty()) CHECK(message.find('\n') == std::string::npos);
  return message;
}

/// The refusal of a fixture in which one value is another.
std::string refusal_of(const std::string& name, const std::string& pointer, const json& value) {
  return refusal_of(changed_fixture(name, pointer, value).dump());
}

}  // namespace

TEST_CASE("what cannot be done exactly is refused by name") {
  const json split{{"type", "Split"}, {"pattern", {{"Regex", "\\w+"}}}, {"behavior", "Isolated"}, {"invert", false}};
  const json many(17, {{"type", "NFC"}});
  const json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const std::vector<std::tuple<std::string, std::string, json, std::vector<std::string>>> cases{
      {"gpt2", "/model/type", "Unigram", {"'model.type'", "'BPE'", "Unigram"}},
      {"gpt2", "/model/type", "WordPiece", {"'model.type'", "WordPiece"}},
      {"gpt2", "/model/dropout", 0.1, {"'model.dropout'", "0.1"}},
      {"gpt2", "/model/end_of_word_suffix", "</w>", {"'model.end_of_word_suffix'", "</w>"}},
      {"gpt2", "/model/continuing_subword_prefix", "##", {"'model.continuing_subword_prefix'", "##"}},
      {"gpt2", "/model/unk_token", "no such", {"'model.unk_token'", "no such"}},
      {"gpt2", "/model/ignore_merges", 1, {"'model.ignore_merges'", "true or false"}},
      {"gpt2", "/normalizer", {{"type", "Lowercase"}}, {"'normalizer.type'", "Lowercase"}},
      {"gpt2", "/normalizer", {{"type", "Prepend"}, {"prepend", std::string(17, '_')}}, {"'normalizer.prepend'", "16"}},
      {"gpt2", "/normalizer", {{"type", "Sequence"}, {"normalizers", many}}, {"'normalizer'", "at most 16", "17"}},
      {"gpt2", "/pre_tokenizer", {{"type", "Whitespace"}}, {"'pre_tokenizer.type'", "Whitespace"}},
      {"gpt2",
       "/pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}},
       {"'pre_tokenizer.pretokenizers.0.pattern.Regex'", "\\w+"}},
      {"gpt2",
       "/pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", {byte_level, byte_level}}},
       {"ByteLevel once"}},
      {"llama3", "/pre_tokenizer/pretokenizers/0/behavior", "Removed", {"behavior", "Removed"}},
      {"llama3", "/pre_tokenizer/pretokenizers/1/add_prefix_space", true, {"add_prefix_space", "true"}},
      {"llama3", "/pre_tokenizer/pretokenizers/1/type", "Metaspace", {"replacement"}},
      {"llama3", "/pre_tokenizer/pretokenizers/1/type", "UnicodeScripts", {"type", "UnicodeScripts"}},
      {"gpt2", "/decoder", nullptr, {"'decoder'", "ByteLevel", "none"}},
      {"llama2", "/decoder/decoders/1/type", "WordPiece", {"'decoder'", "ByteFallback", "WordPiece"}},
      {"llama2", "/decoder/decoders/3/start", 2, {"start", "2"}},
      {"llama2", "/normalizer/normalizers/1/pattern", {{"Regex", " "}}, {"normalizers.1.pattern.String"}},
      {"llama2", "/normalizer/normalizers/1/type", "NFKC", {"NFKC"}},
      {"llama2", "/model/ignore_merges", true, {"'model.ignore_merges'"}},
      {"llama2", "/post_processor/type", "BertProcessing", {"'post_processor.type'", "BertProcessing"}},
      {"llama2", "/post_processor/special_tokens/<s>/ids", {70000}, {"special_tokens", "70000"}},
      {"metaspace", "/pre_tokenizer/replacement", "_", {"'pre_tokenizer.replacement'", "_"}},
      {"metaspace", "/pre_tokenizer/prepend_scheme", "last", {"'pre_tokenizer.prepend_scheme'", "last"}},
      {"metaspace", "/pre_tokenizer/add_prefix_space", false, {"'pre_tokenizer.add_prefix_space'"}},
      {"metaspace_unknown", "/model/unk_token", nullptr, {"'model.unk_token'", "byte_fallback"}},
      {"llama3", "/added_tokens/0/single_word", 1, {"'added_tokens.0.single_word'", "true or false"}},
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

  json lacking = fixture("llama2");
  lacking["model"]["vocab"].erase("<0x21>");
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
