// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "ttt/models/loaders/families/hybrid_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

inline AttentionConfig read_gated_attention(const ConfigJson& json, const ModelConfig& config,
                                            const ClassDefaults& defaults) {
  AttentionConfig attention;
  read_heads(json, config.width, attention, defaults);
  attention.query_key_norm = attention.one_plus_norm = attention.output_gate = true;
  attention.norm_epsilon = config.norm_epsilon;
  const Rotary rotary = read_partial_rotary(json, 10000);
  attention.rope_theta = rotary.theta, attention.rotary_scaling = rotary.scaling;
  turn_part(json, config, rotary.part, attention);
  return attention;
}

inline GatedDeltaNetConfig read_gated_delta_net(const ConfigJson& json, const ModelConfig& config) {
  GatedDeltaNetConfig layer;
  layer.heads = json.whole_or("linear_num_key_heads", 16);
  layer.value_heads = json.whole_or("linear_num_value_heads", 32);
  layer.key_width = json.whole_or("linear_key_head_dim", 128);
  layer.value_width = json.whole_or("linear_value_head_dim", 128);
  layer.conv_taps = json.whole_or("linear_conv_kernel_dim", 4);
  layer.norm_epsilon = config.norm_epsilon;
  if (layer.value_heads % layer.heads != 0)
    json.fail("linear_num_value_heads", "a multiple of linear_num_key_heads = " + std::to_string(layer.heads));
  return layer;
}

/// For each block whether it is attention: layer_types, or every full_attention_interval-th.
inline std::vector<bool> read_attention_blocks(const ConfigJson& json, const ModelConfig& config) {
  std::vector<bool> blocks;
  if (!json.has("layer_types")) {
    check_block_count(json, config, "layer_types");
    const Index interval = json.whole_or("full_attention_interval", 4);
    for (Index i = 1; i <= config.depth; ++i) blocks.push_back(i % interval == 0);
    return blocks;
  }
  for (const auto& each : json.list("layer_types", config.depth)) {
    if (each != "linear_attention" && each != "full_attention")
      json.fail("layer_types", "full_attention or linear_attention for every block");
    blocks.push_back(each == "full_attention");
  }
  return blocks;
}

inline ModelConfig read_qwen3_5_text(const ConfigJson& json) {
  const ClassDefaults defaults{.key_value_heads = 4, .head_dim = 256};
  ModelConfig config = read_common(json, defaults);
  refuse_biases(json);
  if (!json.flag_or("attn_output_gate", true)) json.fail("attn_output_gate", "true");
  config.one_plus_norms = true;
  const LayerDescription attention = windowed(read_gated_attention(json, config, defaults), 0);
  const LayerDescription linear(kinds::GatedDeltaNet::name, read_gated_delta_net(json, config));
  const Index hidden = json.whole("intermediate_size");
  std::vector<BlockDescription> blocks;
  for (const bool is_attention : read_attention_blocks(json, config))
    blocks.push_back({is_attention ? attention : linear, Backbone::transformer, hidden});
  config.set_blocks(std::move(blocks));
  return config;
}

inline void write_gated_delta_net(const GatedDeltaNetConfig& layer, nlohmann::json& json) {
  json["linear_num_key_heads"] = layer.heads;
  json["linear_num_value_heads"] = layer.value_heads;
  json["linear_key_head_dim"] = layer.key_width;
  json["linear_value_head_dim"] = layer.value_width;
  json["linear_conv_kernel_dim"] = layer.conv_taps;
}

inline void write_gated_attention(const ModelConfig& config, const AttentionConfig& layer, nlohmann::json& json) {
  write_heads(config, layer, json);
  write_rotary(layer.rope_theta, layer.rotary_scaling, json);
  // What these classes read is rope_parameters alone.
  nlohmann::json rotary =
      json["rope_scaling"].is_null() ? nlohmann::json{{"rope_type", "default"}} : json["rope_scaling"];
  rotary["rope_theta"] = layer.rope_theta;
  rotary["partial_rotary_factor"] = rotary_part(config, layer);
  json["rope_parameters"] = std::move(rotary);
  for (const char* key : {"rope_theta", "rope_scaling"}) json.erase(key);
}

/// A model that has blocks of one kind only is written with no keys for the other.
inline void write_qwen3_5_text(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  json["attention_bias"] = false;
  json["attn_output_gate"] = true;
  json["intermediate_size"] = config.pattern.front().hidden;
  for (const BlockDescription& block : config.pattern) {
    if (const auto* layer = block.layer.find<GatedDeltaNetConfig>()) write_gated_delta_net(*layer, json);
    if (const auto* layer = block.layer.find<AttentionConfig>()) write_gated_attention(config, *layer, json);
  }
  json["layer_types"] = nlohmann::json::array();
  for (Index i = 0; i < config.depth; ++i) {
    const bool is_attention = config.block(i).layer.find<AttentionConfig>();
    json["layer_types"].push_back(is_attention ? "full_attention" : "linear_attention");
  }
}

inline std::string qwen3_5_tensor_name(std::string_view name) {
  return replaced(std::string(name), {{layer_part, is_of_attention(name) ? ".self_attn." : ".linear_attn."},
                                      {".seq_norm.", ".input_layernorm."},
                                      {".ffn_norm.", ".post_attention_layernorm."}});
}

/// Drafts of further tokens, which text does not need.
inline bool is_draft(std::string_view name) { return name.starts_with("mtp."); }

}  // namespace detail

/// The text models of Qwen 3.5, as `Qwen3_5ForCausalLM` of Hugging Face transformers reads and writes them: Gated
/// DeltaNet, and gated attention in every fourth block.
inline constexpr Family qwen3_5_text_family{"qwen3_5_text",
                                            [](const ModelConfig& config) {
                                              return detail::comes_back<AttentionConfig, GatedDeltaNetConfig>(
                                                  config, detail::write_qwen3_5_text, detail::read_qwen3_5_text);
                                            },
                                            detail::read_qwen3_5_text,
                                            detail::write_qwen3_5_text,
                                            [](nlohmann::json& json) {
                                              detail::write_attention_defaults(json);
                                              json["architectures"] = {"Qwen3_5ForCausalLM"};
                                              json["max_position_embeddings"] = 32768;
                                            },
                                            detail::qwen3_5_tensor_name,
                                            detail::is_draft};

/// The same beside a model of pictures, as the hub has it: what text needs is read, and written as the text model.
inline constexpr Family qwen3_5_family{
    "qwen3_5",
    nullptr,
    [](const ConfigJson& json) { return detail::read_qwen3_5_text(json.object("text_config")); },
    detail::write_qwen3_5_text,
    [](nlohmann::json&) {},
    [](std::string_view name) {
      return detail::replaced(detail::qwen3_5_tensor_name(name), {{"model.", "model.language_model."}});
    },
    [](std::string_view name) { return detail::is_draft(name) || name.starts_with("model.visual."); }};

}  // namespace loaders

TTT_NAMESPACE_END
