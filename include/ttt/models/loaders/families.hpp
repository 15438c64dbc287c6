// SPDX-License-Identifier: MIT
/// @file
/// The kinds of model folders that can be read and written.
#pragma once

#include "ttt/models/loaders/families/llama.hpp"
#include "ttt/models/loaders/families/mistral.hpp"
#include "ttt/models/loaders/families/ttt.hpp"
#include "ttt/models/loaders/families/ttt_cpp.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// The last one holds everything.
inline constexpr std::array<const Family*, 4> families{&ttt_family, &llama_family, &mistral_family, &ttt_cpp_family};

/// Kinds whose name is known and whose layers this version does not have.
inline constexpr std::array<std::string_view, 2> unsupported_model_types{"mamba", "mamba2"};

/// The family of a config.json; throws Error listing the known ones.
inline const Family& family_of(const ConfigJson& json) {
  const std::string type = json.text("model_type");
  std::string known;
  for (const Family* family : families) {
    if (family->model_type == type) return *family;
    known += (known.empty() ? "" : ", ") + std::string(family->model_type);
  }
  for (const std::string_view name : unsupported_model_types)
    if (name == type)
      json.fail("model_type", "one of " + known, "\"" + type + "\", whose layers are not supported yet");
  json.fail("model_type", "one of " + known);
}

/// The family a model is written as.
inline const Family& family_of(const ModelConfig& config) {
  for (const Family* family : families)
    if (family->holds(config)) return *family;
  return ttt_cpp_family;
}

/// The text of the config.json of `config`; `torch_dtype` is the type of the stored tensors.
inline std::string config_text(const ModelConfig& config, const std::string& torch_dtype) {
  const Family& family = family_of(config);
  nlohmann::json json;
  family.write(config, json);
  json["model_type"] = std::string(family.model_type);
  json["torch_dtype"] = torch_dtype;
  return json.dump(2) + "\n";
}

}  // namespace loaders

TTT_NAMESPACE_END
