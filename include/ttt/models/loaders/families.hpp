// SPDX-License-Identifier: MIT
/// @file
/// The kinds of model folders that can be read and written.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "ttt/models/loaders/families/bamba.hpp"
#include "ttt/models/loaders/families/gemma3.hpp"
#include "ttt/models/loaders/families/granite.hpp"
#include "ttt/models/loaders/families/granite_hybrid.hpp"
#include "ttt/models/loaders/families/lfm2.hpp"
#include "ttt/models/loaders/families/llama.hpp"
#include "ttt/models/loaders/families/mamba.hpp"
#include "ttt/models/loaders/families/mistral.hpp"
#include "ttt/models/loaders/families/olmo2.hpp"
#include "ttt/models/loaders/families/phi3.hpp"
#include "ttt/models/loaders/families/qwen.hpp"
#include "ttt/models/loaders/families/qwen3_5.hpp"
#include "ttt/models/loaders/families/qwen3_next.hpp"
#include "ttt/models/loaders/families/smollm3.hpp"
#include "ttt/models/loaders/families/ttt.hpp"
#include "ttt/models/loaders/families/ttt_cpp.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// The last one holds everything.
inline constexpr auto families = std::to_array<const Family*>(
    {&ttt_family, &llama_family, &mistral_family, &qwen2_family, &qwen3_family, &smollm3_family, &phi3_family,
     &olmo2_family, &granite_family, &granite_hybrid_family, &gemma3_family, &mamba_family, &mamba2_family,
     &qwen3_5_text_family, &qwen3_5_family, &qwen3_next_family, &bamba_family, &lfm2_family, &ttt_cpp_family});

/// Kinds whose name is known and whose layers this version does not have, between spaces.
inline constexpr std::string_view unsupported_model_types =
    " bloom cohere cohere2 deepseek_v2 deepseek_v3 falcon falcon_h1 falcon_mamba gemma gemma2 "
    "gemma3 glm glm4 gpt2 gpt_bigcode gpt_neox gpt_oss gptj granitemoe "
    "internlm2 jamba llama4 llama4_text minicpm mistral3 mixtral mpt nemotron nemotron_h olmo "
    "olmo3 olmoe opt phi phimoe qwen2_moe qwen2_vl qwen2_5_vl qwen3_5_moe qwen3_moe "
    "qwen3_vl recurrent_gemma rwkv seed_oss stablelm starcoder2 zamba zamba2 ";

/// "ttt, llama, …", for messages.
inline std::string known_families() {
  std::string known;
  for (const Family* family : families) known += (known.empty() ? "" : ", ") + std::string(family->model_type);
  return known;
}

/// The kinds that can be written.
inline std::vector<std::string> written_families() {
  std::vector<std::string> written;
  for (const Family* family : families)
    if (family->can_hold) written.emplace_back(family->model_type);
  return written;
}

/// The family called `model_type`, or null.
inline const Family* find_family(std::string_view model_type) {
  const auto found = std::find_if(families.begin(), families.end(),
                                  [&](const Family* family) { return family->model_type == model_type; });
  return found == families.end() ? nullptr : *found;
}

/// The family of a config.json; throws Error listing the known ones.
inline const Family& family_of(const ConfigJson& json) {
  const std::string type = json.text("model_type");
  if (const Family* family = find_family(type)) return *family;
  if (unsupported_model_types.find(" " + type + " ") != std::string_view::npos)
    json.fail("model_type", "one of " + known_families(), "\"" + type + "\", whose layers are not supported yet");
  json.fail("model_type", "one of " + known_families());
}

/// The family a model is written as.
inline const Family& family_of(const ModelConfig& config) {
  for (const Family* family : families)
    if (family->holds(config)) return *family;
  return ttt_cpp_family;
}

/// Takes from a config.json what its kind says of a model, and another one would say, or read, otherwise.
inline void forget_family(nlohmann::json& original, const ModelConfig& config) {
  nlohmann::json known{{"architectures", {}},  {"auto_map", {}},    {"layer_types", {}},  {"sliding_window", {}},
                       {"attention_bias", {}}, {"text_config", {}}, {"vision_config", {}}};
  for (const Family* family : families)
    if (family->holds(config)) family->write(config, known);
  if (const Family* family = find_family(original.value("model_type", "")))
    family->write(family->read(ConfigJson(original.dump(), "config.json")), known);
  for (const auto& [key, value] : known.items()) original.erase(key);
}

/// The text of the config.json of `config`; `torch_dtype` is the type of the stored tensors. Keys of `original`, the
/// config.json that the model was read with, that do not follow from the model are kept.
inline std::string config_text(const ModelConfig& config, const Family& family, const std::string& torch_dtype,
                               nlohmann::json original = nullptr) {
  const bool kept_family = original.is_object() && original.value("model_type", "") == family.model_type;
  nlohmann::json json = nlohmann::json::object();
  if (!kept_family) family.write_defaults(json);
  nlohmann::json rotary;  // what is said of pictures there stays
  if (kept_family && original.contains("rope_parameters")) rotary = original["rope_parameters"];
  if (original.is_object()) {
    // Would contradict the keys below, name a class of another kind, or say what the original left to the class.
    for (const char* key : {"rope_parameters", "dtype"}) original.erase(key);
    if (!kept_family) forget_family(original, config);
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) json.erase(key);
    json.update(original);
  }
  family.write(config, json);
  for (const auto& [key, value] : rotary.items())
    if (key.starts_with("mrope_") && json.contains("rope_parameters")) json["rope_parameters"][key] = value;
  json["model_type"] = std::string(family.model_type);
  json["torch_dtype"] = torch_dtype;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace loaders

TTT_NAMESPACE_END
