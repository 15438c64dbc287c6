// SPDX-License-Identifier: MIT
#include "tokenizer.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

namespace ttt_lm {

ttt::io::Tokenizer folder_tokenizer(const std::filesystem::path& folder, ttt::Index vocabulary,
                                    const std::string& otherwise) {
  const auto path = folder / tokenizer_name;
  std::error_code ignored;  // what is there and cannot be read is reported when it is opened
  if (!std::filesystem::exists(path, ignored)) {
    if (vocabulary == 256) return ttt::io::Tokenizer::bytes();
    ttt::throw_unexpected(folder.string(), "a tokenizer.json, or a vocabulary of 256 for bytes",
                          "no such file and a vocabulary of " + std::to_string(vocabulary) + otherwise);
  }
  auto tokenizer = ttt::io::Tokenizer::load(path);
  if (tokenizer.vocabulary() > vocabulary)
    ttt::throw_unexpected(path.string(), "at most the " + std::to_string(vocabulary) + " ids of the model",
                          std::to_string(tokenizer.vocabulary()));
  return tokenizer;
}

std::vector<std::int64_t> end_tokens(const std::filesystem::path& folder) {
  std::error_code ignored;  // the model has been read from the folder before
  if (!std::filesystem::exists(folder / tokenizer_name, ignored)) return {};
  std::ifstream file(folder / "config.json");
  const auto json = nlohmann::json::parse(file, nullptr, false);
  std::vector<std::int64_t> ids;
  if (!json.is_object() || !json.contains("eos_token_id")) return ids;
  // One number or a list of them; items() of a number is the number itself.
  for (const auto& [key, value] : json["eos_token_id"].items())
    if (value.is_number_unsigned()) ids.push_back(value.get<std::int64_t>());
  return ids;
}

}  // namespace ttt_lm
