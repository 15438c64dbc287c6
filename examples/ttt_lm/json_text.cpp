// SPDX-License-Identifier: MIT
#include "json_text.hpp"

#include <nlohmann/json.hpp>

#include "ttt/io/utf8.hpp"

namespace ttt_lm {

namespace {

void change_strings(nlohmann::ordered_json& json, std::string (*change)(std::string_view)) {
  if (json.is_string()) json = change(json.get_ref<const std::string&>());
  if (json.is_structured())
    for (auto& part : json) change_strings(part, change);
}

}  // namespace

std::string json_text(nlohmann::ordered_json json, int indent) {
  change_strings(json, ttt::io::utf8_escaped);
  return json.dump(indent);
}

nlohmann::ordered_json parse_json_text(const std::string& text) {
  auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  change_strings(json, ttt::io::utf8_unescaped);
  return json;
}

}  // namespace ttt_lm
