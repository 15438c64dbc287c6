// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ttt/io/bpe_training/pairs.hpp"
#include "ttt/io/json_header.hpp"
#include "ttt/io/tokenizer/byte_alphabet.hpp"
#include "ttt/io/tokenizer/splitting.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// A byte-level BPE vocabulary with the word pattern of GPT-2.
struct BpeVocabulary {
  std::vector<std::string> tokens;                              ///< their bytes, by id; the first 256 are the bytes
  std::vector<std::pair<std::uint32_t, std::uint32_t>> merges;  ///< ids, in the order in which they are applied

  /// The text of a tokenizer.json, for Tokenizer::from_json and for the Python package `tokenizers`.
  std::string json() const;
};

/// How often a pair must occur to become a token.
inline constexpr std::int64_t least_pair_count = 2;

namespace detail {

inline std::unordered_map<std::string_view, std::int64_t> count_words(std::span<const std::string_view> texts) {
  std::unordered_map<std::string_view, std::int64_t> counts;
  const SplittingStep words = SplittingStep::gpt2();
  for (const std::string_view text : texts) words.split(text, [&](std::string_view word) { ++counts[word]; });
  return counts;
}

/// The bytes in the order of the characters that stand for them, as in other byte-level vocabularies.
inline std::vector<unsigned char> ordered_bytes() {
  std::vector<unsigned char> bytes(256);
  std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(0));
  std::sort(bytes.begin(), bytes.end(),
            [](unsigned char a, unsigned char b) { return byte_alphabet.code(a) < byte_alphabet.code(b); });
  return bytes;
}

}  // namespace detail

/// Makes a vocabulary of `size` tokens from texts: from the bytes on, again and again the most frequent pair within the
/// words becomes a token, of equally frequent ones the lowest by ids (Sennrich et al. 2016). Fewer when no pair is left
/// that occurs twice. The same everywhere. The texts must outlive the call only. Throws Error for a size below 256.
inline BpeVocabulary train_bpe(std::span<const std::string_view> texts, std::int64_t size) {
  constexpr std::int64_t largest = 10'000'000;
  if (size < 256 || size > largest)
    throw_unexpected("vocabulary", "256 to " + std::to_string(largest) + " tokens", std::to_string(size));
  BpeVocabulary result;
  std::vector<std::uint32_t> ids(256);
  std::unordered_map<std::string, std::uint32_t> known;
  for (const unsigned char byte : detail::ordered_bytes()) {
    ids[byte] = static_cast<std::uint32_t>(result.tokens.size());
    result.tokens.emplace_back(1, static_cast<char>(byte));
    known.emplace(result.tokens.back(), ids[byte]);
  }
  detail::PairCounts pairs;
  for (const auto& [word, count] : detail::count_words(texts)) {
    std::vector<std::uint32_t> tokens;
    for (const char byte : word) tokens.push_back(ids[static_cast<unsigned char>(byte)]);
    pairs.add_word(tokens, count);
  }
  while (static_cast<std::int64_t>(result.tokens.size()) < size) {
    const auto [pair, count] = pairs.most_frequent();
    if (count < least_pair_count) break;
    const std::string text = result.tokens[pair.first] + result.tokens[pair.second];
    // Two pairs may spell the same token.
    const auto token = known.emplace(text, static_cast<std::uint32_t>(result.tokens.size()));
    if (token.second) result.tokens.push_back(text);
    result.merges.push_back(pair);
    pairs.merge(pair, token.first->second);
  }
  return result;
}

inline std::string BpeVocabulary::json() const {
  std::string text = R"({
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "post_processor": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {)";
  const auto spelt = [&](std::size_t id) { return detail::byte_alphabet.spell(tokens[id]); };
  const auto append_item = [&](std::size_t i, const std::string& item) {
    text += i > 0 ? ",\n      " : "\n      ";
    append_json_string(text, item);
  };
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    append_item(id, spelt(id));
    text += ": " + std::to_string(id);
  }
  text += "\n    },\n    \"merges\": [";
  for (std::size_t i = 0; i < merges.size(); ++i)
    append_item(i, spelt(merges[i].first) + " " + spelt(merges[i].second));
  return text + "\n    ]\n  }\n}\n";
}

}  // namespace io
TTT_NAMESPACE_END
