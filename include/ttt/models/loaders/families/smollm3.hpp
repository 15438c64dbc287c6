// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// no_rope_layers: 1 for each block with the rotary embedding, 0 for those without. Without the list, `interval` is the
/// distance of those without.
inline void read_rotary_blocks(const ConfigJson& json, ModelConfig& config, Index interval) {
  const char* const key = "no_rope_layers";
  std::vector<bool> rotary;
  if (json.has(key)) {
    for (const auto& each : json.list(key, config.depth)) {
      if (each != 0 && each != 1) json.fail(key, "1 or 0 for every block");
      rotary.push_back(each == 1);
    }
  } else {
    check_block_count(json, config, key);
    for (Index block = 1; block <= config.depth; ++block) rotary.push_back(block % interval != 0);
  }
  change_blocks(config, [&](AttentionConfig& attention, std::size_t i) { attention.rotary = rotary[i]; });
}

inline void write_rotary_blocks(const ModelConfig& config, nlohmann::json& json) {
  json["no_rope_layers"] = nlohmann::json::array();
  for (Index i = 0; i < config.depth; ++i)
    json["no_rope_layers"].push_back(attention_of(config.block(i)).rotary ? 1 : 0);
}

}  // namespace detail

/// Attention over everything, in some blocks without the rotary embedding, as `SmolLM3ForCausalLM` of Hugging Face
/// transformers reads and writes it.
inline constexpr Family smollm3_family{
    "smollm3",
    [](const ModelConfig& config) {
      return detail::is_attention(config, [](AttentionConfig& attention) { attention.rotary = true; });
    },
    [](const ConfigJson& json) {
      ModelConfig config = detail::read_attention(json, {.key_value_heads = 4, .rope_theta = 2'000'000, .tied = true});
      detail::refuse_biases(json);
      detail::read_rotary_blocks(json, config, json.whole_or("no_rope_layer_interval", 4));
      if (json.flag_or("use_sliding_window", false) && json.has("sliding_window"))
        json.fail("use_sliding_window", "false, as windows in some blocks only are not supported");
      detail::check_layer_types(json, config);
      return config;
    },
    [](const ModelConfig& config, nlohmann::json& json) {
      detail::write_attention(config, json);
      detail::write_rotary_blocks(config, json);
      json["use_sliding_window"] = false;
    },
    [](nlohmann::json& json) {
      detail::write_attention_defaults(json);
      json["architectures"] = {"SmolLM3ForCausalLM"};
      json["max_position_embeddings"] = 32768;
    },
    detail::attention_tensor_name,
    detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
