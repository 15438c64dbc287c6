// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace ttt_lm {

/// JSON as text. Strings of bytes that are no UTF-8, such as names of files may be, are escaped as in
/// ttt::io::utf8_escaped: `\xff` in the string stands for the byte 0xff. `indent` as in dump.
std::string json_text(nlohmann::ordered_json json, int indent = -1);

/// The JSON that was given to json_text; discarded when `text` is none.
nlohmann::ordered_json parse_json_text(const std::string& text);

}  // namespace ttt_lm
