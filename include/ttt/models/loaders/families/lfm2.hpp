// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ttt/models/loaders/families/hybrid_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// For each block whether it is attention: layer_types, or the blocks that full_attn_idxs lists; without either, all.
inline std::vector<bool> read_lfm2_blocks(const ConfigJson& json, const ModelConfig& config) {
  if (json.has("layer_types")) {
    std::vector<bool> attends;
    for (const auto& each : json.list("layer_types", config.depth)) {
      attends.push_back(each == "full_attention");
      if (!attends.back() && each != "conv") json.fail("layer_types", "full_attention or conv for every block");
    }
    return attends;
  }
  const char* const key = "full_attn_idxs";
  return json.has(key) ? read_block_list(json, config, key) : std::vector<bool>(1, true);
}

/// The width of the MLP, which block_auto_adjust_ff_dim makes two thirds of what is said, in whole steps.
inline Index read_lfm2_hidden(const ConfigJson& json) {
  const Index said = json.whole_or("block_ff_dim", json.whole_or("intermediate_size", 12288));
  if (!json.flag_or("block_auto_adjust_ff_dim", true)) return said;
  const double scaled = json.positive_or("block_ffn_dim_multiplier", 1) * static_cast<double>(2 * said / 3);
  const Index step = json.whole_or("block_multiple_of", 256);
  const double hidden = std::ceil(std::floor(scaled) / static_cast<double>(step)) * static_cast<double>(step);
  if (!(hidden >= 1 && hidden <= std::numeric_limits<std::int32_t>::max()))
    json.fail("intermediate_size", "a width of the MLP when it is adjusted", domain::text(hidden));
  return static_cast<Index>(hidden);
}

inline ModelConfig read_lfm2(const ConfigJson& json) {
  const ClassDefaults defaults{.key_value_heads = 8, .tied = true};
  ModelConfig config = read_common(json, defaults);
  config.norm_epsilon = json.positive_or("norm_eps", 1e-5);
  config.tied = json.flag_or("tie_embedding", config.tied);
  if (json.flag_or("conv_bias", false)) json.fail("conv_bias", "false, as biases of projections are not supported");
  AttentionConfig attention;
  read_heads(json, config.width, attention, defaults);
  attention.query_key_norm = true;
  attention.norm_epsilon = config.norm_epsilon;
  const Rotary rotary = read_rotary(json, 1'000'000);
  attention.rope_theta = rotary.theta, attention.rotary_scaling = rotary.scaling;
  const LayerDescription full = windowed(attention, 0);
  const LayerDescription conv(kinds::GatedShortConvolution::name,
                              GatedShortConvolutionConfig{.conv_taps = json.whole_or("conv_L_cache", 3)});
  std::vector<BlockDescription> blocks;
  const Index hidden = read_lfm2_hidden(json);
  for (const bool each : read_lfm2_blocks(json, config))
    blocks.push_back({each ? full : conv, Backbone::transformer, hidden});
  config.set_pattern(std::move(blocks));
  return config;
}

/// A model that has blocks of one kind only is written with no keys for the other.
inline void write_lfm2(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  for (const char* key : {"hidden_act", "rms_norm_eps"}) json.erase(key);
  json["norm_eps"] = config.norm_epsilon;
  json["tie_embedding"] = config.tied;
  json["conv_bias"] = json["block_auto_adjust_ff_dim"] = false;
  json["intermediate_size"] = json["block_ff_dim"] = config.pattern.front().hidden;
  json["layer_types"] = json["full_attn_idxs"] = nlohmann::json::array();
  for (Index i = 0; i < config.depth; ++i) {
    const LayerDescription& layer = config.block(i).layer;
    const auto* attention = layer.find<AttentionConfig>();
    json["layer_types"].push_back(attention ? "full_attention" : "conv");
    if (const auto* conv = layer.find<GatedShortConvolutionConfig>()) json["conv_L_cache"] = conv->conv_taps;
    if (!attention) continue;
    json["full_attn_idxs"].push_back(i);
    write_heads(config, *attention, json);
    write_rotary(attention->rope_theta, attention->rotary_scaling, json);
  }
}

inline std::string lfm2_tensor_name(std::string_view name) {
  if (name == "model.norm.weight") return "model.embedding_norm.weight";
  const bool attends = is_of_attention(name);
  std::string result = replaced(std::string(name), {{layer_part, attends ? ".self_attn." : ".conv."},
                                                    {".seq_norm.", ".operator_norm."},
                                                    {".mlp.", ".feed_forward."},
                                                    {".gate_proj.", ".w1."},
                                                    {".up_proj.", ".w3."},
                                                    {".down_proj.", ".w2."}});
  return attends ? replaced(std::move(result),
                            {{".o_proj.", ".out_proj."}, {".q_norm.", ".q_layernorm."}, {".k_norm.", ".k_layernorm."}})
                 : result;
}

}  // namespace detail

/// Gated short convolutions, and attention in some blocks, as `Lfm2ForCausalLM` of Hugging Face transformers reads and
/// writes them.
inline constexpr Family lfm2_family{"lfm2",
                                    [](const ModelConfig& config) {
                                      return detail::comes_back<AttentionConfig, GatedShortConvolutionConfig>(
                                          config, detail::write_lfm2, detail::read_lfm2);
                                    },
                                    detail::read_lfm2,
                                    detail::write_lfm2,
                                    [](nlohmann::json& json) {
                                      detail::write_attention_defaults(json);
                                      json["architectures"] = {"Lfm2ForCausalLM"};
                                      json["max_position_embeddings"] = 128000;
                                    },
                                    detail::lfm2_tensor_name,
                                    detail::nothing_derived};

}  // namespace loaders

TTT_NAMESPACE_END
