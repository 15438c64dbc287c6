// SPDX-License-Identifier: MIT
#include "ttt/io/tokenizer.hpp"

#include "io/tokenizer/fixtures.hpp"
#include "support/error_message.hpp"

namespace {

using namespace ttt::io;
using namespace ttt::testing;
using nlohmann::json;

}  // namespace

TEST_CASE("every kind of tokenizer.json gives the ids and texts of the tokenizers package") {
  const json expected = fixture("expected");
  for (const auto& [name, results] : expected["results"].items()) {
    const Tokenizer tokenizer = load_fixture(name);
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
    const Tokenizer tokenizer = load_fixture(name);
    for (int i = 0; i < 300; ++i) {
      const std::string text = random_bytes(random, random() % 80);
      CAPTURE(name, text);
      CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    }
  }
}

TEST_CASE("with byte fallback every text without the mark of a space comes back") {
  std::mt19937 random(2);
  const Tokenizer tokenizer = load_fixture("llama2");
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_bytes(random, random() % 80);
    CAPTURE(text);
    if (!contains(text, "\u2581")) CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
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
    const Tokenizer tokenizer = load_fixture(name);
    for (const std::string& long_text : {text, spaces, marks})
      CHECK(tokenizer.decode(tokenizer.encode("x" + long_text)) == "x" + long_text);
  }
}

TEST_CASE("a stream of ids is decoded as it comes, also within characters") {
  const Tokenizer tokenizer = load_fixture("llama2");
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
  const Tokenizer tokenizer = load_fixture("llama3");
  const std::int64_t begin = tokenizer.added_token("<|begin|>").value();
  CHECK(tokenizer.prefix() == Ids{begin});
  CHECK(tokenizer.suffix().empty());
  CHECK(tokenizer.is_special(begin));
  CHECK(tokenizer.has_token(tokenizer.added_token("<tool>").value()));
  CHECK_FALSE(tokenizer.is_special(tokenizer.added_token("<tool>").value()));
  CHECK_FALSE(tokenizer.added_token("no such"));
  CHECK(tokenizer.token(begin) == "<|begin|>");
  CHECK(load_fixture("llama2").suffix() == Ids{2});
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
  CHECK(by_strings == load_fixture("gpt2").encode(text));
}

TEST_CASE("bytes that a byte-level vocabulary does not have are left out, or unknown") {
  json lacking = fixture("gpt2");
  lacking["model"]["merges"] = json::array();
  for (const char* byte : {"!", "?"}) lacking["model"]["vocab"].erase(byte);
  const auto encode = [&](const std::string& text) {
    const Tokenizer tokenizer = Tokenizer::from_json(lacking.dump(), "lacking");
    return tokenizer.decode(tokenizer.encode(text));
  };
  CHECK(encode("a!b!?c") == "abc");
  CHECK(encode("!?").empty());
  lacking["model"]["unk_token"] = "_";
  CHECK(encode("a!b!?c") == "a_b__c");
  lacking["model"]["fuse_unk"] = true;
  CHECK(encode("a!b!?c") == "a_b_c");
  lacking["model"]["unk_token"] = nullptr;
  lacking["model"]["byte_fallback"] = true;
  CHECK(contains(error_message([&] { encode("a"); }), "a token for every byte", "byte 33"));
}

TEST_CASE("added tokens that are single words are none within words") {
  const Tokenizer tokenizer = changed("gpt2", "/added_tokens/0",
                                      {{"id", 420},
                                       {"content", "end"},
                                       {"single_word", true},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false},
                                       {"special", true}});
  const auto count = [&](const std::string& text) {
    const Ids ids = tokenizer.encode(text);
    return std::count(ids.begin(), ids.end(), 420);
  };
  CHECK(count("end, end-end\u2028end\xFF") == 4);
  CHECK(count("bend ends end1 1end éend end_ \u200Dend end\u0301 \u24B6end endend") == 0);
}
