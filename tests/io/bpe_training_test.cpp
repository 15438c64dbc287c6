// SPDX-License-Identifier: MIT
#include "ttt/io/bpe_training.hpp"

#include <map>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "ttt/io/tokenizer.hpp"

namespace {

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;
using Words = std::vector<std::vector<std::uint32_t>>;

BpeVocabulary train(const std::string& text, std::int64_t size) {
  const std::array<std::string_view, 1> texts{text};
  return train_bpe(texts, size);
}

/// The same vocabulary by counting everything anew for each token.
std::vector<std::string> trained_slowly(const std::string& text, std::size_t size) {
  BpeVocabulary bytes = train("", 256);
  std::vector<std::string> tokens = bytes.tokens;
  Words words;
  detail::SplittingStep::gpt2().split(text, [&](std::string_view word) {
    words.emplace_back();
    for (const char byte : word)
      words.back().push_back(static_cast<std::uint32_t>(
          std::find(tokens.begin(), tokens.begin() + 256, std::string(1, byte)) - tokens.begin()));
  });
  while (tokens.size() < size) {
    std::map<detail::TokenPair, std::int64_t> counts;
    for (const auto& word : words)
      for (std::size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    const auto best =
        std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) { return a.second < b.second; });
    if (best == counts.end() || best->second < least_pair_count) break;
    for (auto& word : words)
      for (std::size_t i = 0; i + 1 < word.size(); ++i)
        if (detail::TokenPair{word[i], word[i + 1]} == best->first) {
          word[i] = static_cast<std::uint32_t>(tokens.size());
          word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
    tokens.push_back(tokens[best->first.first] + tokens[best->first.second]);
  }
  return tokens;
}

std::string sample() {
  std::string text;
  for (unsigned i = 0; i < 300; ++i)
    text += "line " + std::to_string(i * i % 97) + " of the text, großer Hut, aaaa" + std::string(i % 7, 'a') + "\n";
  return text;
}

}  // namespace

TEST_CASE("the most frequent pair becomes a token, of equally frequent ones the lowest") {
  CHECK(train("ab ab ab", 257).tokens[256] == "ab");
  CHECK(train("cd ab cd ab", 257).tokens[256] == "ab");
  CHECK(train("ab", 300).tokens.size() == 256);
  CHECK(train("", 300).tokens.size() == 256);
}

TEST_CASE("incremental counts are the counts") {
  for (const std::size_t size : {300U, 400U, 1000U}) {
    const std::string text = sample();
    CHECK(train(text, static_cast<std::int64_t>(size)).tokens == trained_slowly(text, size));
  }
}

TEST_CASE("a trained vocabulary is read as tokenizer.json and gives every text back") {
  const std::string text = sample() + "\"quotes\" and \\ \"quotes\" and \\\x01\x01\xFF\xFF\xFF\xFF";
  const BpeVocabulary vocabulary = train(text, 500);
  const Tokenizer tokenizer = Tokenizer::from_json(vocabulary.json(), "trained");
  CHECK(tokenizer.vocabulary() == static_cast<ttt::Index>(vocabulary.tokens.size()));
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id)
    CHECK(tokenizer.token(static_cast<std::int64_t>(id)) == vocabulary.tokens[id]);
  CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  CHECK(tokenizer.encode(text).size() * 3 < text.size());
}

TEST_CASE("the order and the cutting of texts at words do not matter") {
  const std::string text = sample(), other = "something else, once more something else";
  const std::array<std::string_view, 2> one{text, other}, two{other, text};
  CHECK(train_bpe(one, 600).json() == train_bpe(two, 600).json());
}

TEST_CASE("one long word costs what its merges change") {
  std::string word;
  for (unsigned i = 0, state = 1; i < 200'000; ++i) {
    state = state * 1664525U + 1013904223U;
    word += static_cast<char>('a' + (state >> 24) % 4);
  }
  CHECK(train(word, 4000).tokens.size() == 4000);
}

TEST_CASE("sizes that are no vocabulary are refused") {
  for (const std::int64_t size : {0, 255, -1, 2'000'000'000})
    CHECK(contains(error_message([&] { train("ab", size); }), "vocabulary", std::to_string(size)));
}
