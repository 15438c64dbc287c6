// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ttt/core/config.hpp"
#include "ttt/io/tokenizer.hpp"

namespace ttt_lm {

inline constexpr const char* tokenizer_name = "tokenizer.json";

/// The tokenizer of a model folder: its tokenizer.json, or bytes when it has none and the vocabulary is 256. Throws
/// ttt::Error when neither fits the vocabulary of the model; `otherwise` is what its message says one can do then.
ttt::io::Tokenizer folder_tokenizer(const std::filesystem::path& folder, ttt::Index vocabulary,
                                    const std::string& otherwise = "");

/// Ids that end a text: `eos_token_id` of config.json in a folder with a tokenizer.json; otherwise none.
std::vector<std::int64_t> end_tokens(const std::filesystem::path& folder);

}  // namespace ttt_lm
