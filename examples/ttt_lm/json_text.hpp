// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ttt_lm {

/// Puts a text, a prompt or the name of a file, into a JSON object. JSON holds UTF-8 only: other bytes are replaced
/// there, and then "KEY_bytes" has all of them as numbers.
inline void put_text(nlohmann::ordered_json& object, const std::string& key, const std::string& text) {
  using Json = nlohmann::ordered_json;
  const std::string valid = Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
  object[key] = valid;
  if (valid != text) object[key + "_bytes"] = std::vector<unsigned char>(text.begin(), text.end());
}

}  // namespace ttt_lm
