// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "ttt/models/loaders/families/mamba2_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// The class turns one half of each head, whatever it is told; files say so in one way or another.
inline void read_bamba_rotary(const ConfigJson& json, const ModelConfig& config, AttentionConfig& attention) {
  const Rotary rotary = read_partial_rotary(json, 10000);
  attention.rope_theta = rotary.theta, attention.rotary_scaling = rotary.scaling;
  turn_part(json, config, 0.5, attention);
  if (rotary.part != 1 && rotary.part != 0.5) json.fail("partial_rotary_factor", "0.5", domain::text(rotary.part));
  if (json.whole_or("attn_rotary_emb", attention.rotary_channels) != attention.rotary_channels)
    json.fail("attn_rotary_emb", "half the width of a head = " + std::to_string(attention.rotary_channels));
}

inline ModelConfig read_bamba(const ConfigJson& json) {
  const ClassDefaults defaults{.key_value_heads = 8, .norm_epsilon = 1e-5};
  ModelConfig config = read_common(json, defaults);
  refuse_biases(json);
  AttentionConfig attention;
  read_heads(json, config.width, attention, defaults);
  read_bamba_rotary(json, config, attention);
  const char* const key = "attn_layer_indices";
  const auto attends = json.has(key) ? read_block_list(json, config, key) : std::vector<bool>(1, false);
  set_hybrid(json, config, attends, attention, json.whole("intermediate_size"));
  return config;
}

/// A model that has blocks of one kind only is written with no keys for the other.
inline void write_bamba(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  json["attention_bias"] = json["mlp_bias"] = false;
  json["intermediate_size"] = config.pattern.front().hidden;
  json["attn_layer_indices"] = nlohmann::json::array();
  for (Index i = 0; i < config.depth; ++i) {
    const LayerDescription& layer = config.block(i).layer;
    if (const auto* mamba = layer.find<Mamba2Config>()) write_mixer(config, *mamba, json);
    const auto* attention = layer.find<AttentionConfig>();
    if (!attention) continue;
    json["attn_layer_indices"].push_back(i);
    write_heads(config, *attention, json);
    write_rotary(attention->rope_theta, attention->rotary_scaling, json);
    json["attn_rotary_emb"] = attention->rotary_channels;
  }
}

inline std::string bamba_tensor_name(std::string_view name) {
  return replaced(
      hybrid_tensor_name(name),
      {{".ffn_norm.", ".pre_ff_layernorm."}, {".mlp.", ".feed_forward."}, {"model.norm.", "model.final_layernorm."}});
}

}  // namespace detail

/// Mamba-2, and attention in some blocks, as `BambaForCausalLM` of Hugging Face transformers reads and writes it.
inline constexpr Family bamba_family{"bamba",
                                     [](const ModelConfig& config) {
                                       return detail::comes_back<AttentionConfig, Mamba2Config>(
                                           config, detail::write_bamba, detail::read_bamba);
                                     },
                                     detail::read_bamba,
                                     detail::write_bamba,
                                     [](nlohmann::json& json) {
                                       detail::write_attention_defaults(json);
                                       json["architectures"] = {"BambaForCausalLM"};
                                       json["max_position_embeddings"] = 262144;
                                     },
                                     detail::bamba_tensor_name,
                                     detail::nothing_derived};

}  // namespace loaders

TTT_NAMESPACE_END
