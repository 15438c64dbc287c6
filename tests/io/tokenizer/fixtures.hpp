// SPDX-License-Identifier: MIT
/// @file
/// The small tokenizer.json files that make_fixtures.py wrote, and what tests of tokenizers have in common.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/io/tokenizer.hpp"

namespace ttt::testing {

using Ids = std::vector<std::int64_t>;

inline const std::string tokenizer_folder = TTT_GOLDEN_DIR "/../io/tokenizer/";

inline nlohmann::json fixture(const std::string& name) {
  return nlohmann::json::parse(read_bytes(tokenizer_folder + name + ".json"));
}
inline io::Tokenizer load_fixture(const std::string& name) {
  return io::Tokenizer::load(tokenizer_folder + name + ".json");
}

/// A fixture in which one value is another.
inline nlohmann::json changed_fixture(const std::string& name, const std::string& pointer,
                                      const nlohmann::json& value) {
  nlohmann::json file = fixture(name);
  file[nlohmann::json::json_pointer(pointer)] = value;
  return file;
}
inline io::Tokenizer changed(const std::string& name, const std::string& pointer, const nlohmann::json& value) {
  return io::Tokenizer::from_json(changed_fixture(name, pointer, value).dump(), name);
}

/// What each id of a text stands for in it.
inline std::vector<std::string> parts(const io::Tokenizer& tokenizer, const std::string& text,
                                      io::SpecialTokens special = io::SpecialTokens::keep) {
  const io::EncodedText encoded = tokenizer.encode_with_ends(text, special);
  CHECK(encoded.ids == tokenizer.encode(text, special));
  REQUIRE(encoded.ends.size() == encoded.ids.size());
  std::vector<std::string> result;
  Index begin = 0;
  for (const Index end : encoded.ends) {
    REQUIRE(begin <= end);
    REQUIRE(end <= static_cast<Index>(text.size()));
    result.push_back(text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    begin = end;
  }
  CHECK(begin == static_cast<Index>(encoded.ids.empty() ? 0 : text.size()));
  return result;
}

inline std::string random_bytes(std::mt19937& random, std::size_t size) {
  // Parts of characters are frequent, so that they meet in all ways.
  const std::vector<std::string> parts{"a",        " ",        "\n",   "1",        "'s",   "é",
                                       "\xF0\x9F", "\x98\x80", "\xE6", "\x95\xB0", "\xC0", "\xFF"};
  std::string text;
  while (text.size() < size)
    text += random() % 3 ? parts[random() % parts.size()] : std::string(1, static_cast<char>(random() % 256));
  return text;
}

}  // namespace ttt::testing
