// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// Attention with the transformer backbone, windows of one width, and one of the two options that the kinds of Qwen are
/// told by.
inline bool is_qwen(const ModelConfig& config, bool AttentionConfig::*option) {
  const auto has_option = [&](const BlockDescription& block) {
    const AttentionConfig* attention = block.layer.find<AttentionConfig>();
    return attention && attention->*option &&
           (!attention->query_key_norm || attention->norm_epsilon == config.norm_epsilon);
  };
  return config.every_block(has_option) && is_attention(config, [&](AttentionConfig& attention) {
           if (attention.query_key_norm) attention.norm_epsilon = AttentionConfig{}.norm_epsilon;
           attention.*option = false;
           if (attention.window == window_of(config)) forget_window(attention);
         });
}

/// Qwen has a window in the blocks that layer_types names, or in those from max_window_layers on where
/// use_sliding_window is set.
inline void read_qwen_window(const ConfigJson& json, ModelConfig& config) {
  const bool none = json.contains("sliding_window") && !json.has("sliding_window");
  const bool used = json.flag_or("use_sliding_window", false) && !none;
  const Index window = used ? json.whole_or("sliding_window", 4096) : 0;
  const Index first = json.has("max_window_layers") ? json.whole("max_window_layers", 0) : 28;
  if (const auto types = read_layer_types(json, config)) {
    if (!used && std::find(types->begin(), types->end(), true) != types->end())
      json.fail("layer_types", "\"full_attention\" for every block, as there is no window");
    return change_blocks(config, [&](AttentionConfig& a, std::size_t i) { a.window = (*types)[i] ? window : 0; });
  }
  if (!used || first >= config.depth) return;
  if (first == 0) return set_window(config, window);
  check_block_count(json, config, "layer_types");
  change_blocks(config, [&](AttentionConfig& attention, std::size_t i) {
    attention.window = static_cast<Index>(i) >= first ? window : 0;
  });
}

inline void write_qwen_window(const ModelConfig& config, nlohmann::json& json) {
  const Index window = window_of(config);
  json["use_sliding_window"] = window != 0;
  if (window == 0) return;
  json["sliding_window"] = window;
  json["max_window_layers"] = 0;
}

inline void write_qwen(const ModelConfig& config, nlohmann::json& json) {
  write_attention(config, json);
  write_qwen_window(config, json);
}

inline void write_qwen_defaults(nlohmann::json& json, const char* architecture) {
  write_attention_defaults(json);
  json["architectures"] = {architecture};
  json["max_position_embeddings"] = 32768;
}

}  // namespace detail

/// Attention with biases of queries, keys and values, as `Qwen2ForCausalLM` of Hugging Face transformers reads and
/// writes it.
inline constexpr Family qwen2_family{
    "qwen2",
    [](const ModelConfig& config) { return detail::is_qwen(config, &AttentionConfig::bias); },
    [](const ConfigJson& json) {
      ModelConfig config = detail::read_attention(
          json, {.key_value_heads = 32}, [](AttentionConfig& attention, const ModelConfig&) { attention.bias = true; });
      detail::read_qwen_window(json, config);
      return config;
    },
    detail::write_qwen,
    [](nlohmann::json& json) { detail::write_qwen_defaults(json, "Qwen2ForCausalLM"); },
    detail::attention_tensor_name,
    detail::is_rotary_table};

/// Attention with norms of queries and keys, as `Qwen3ForCausalLM` of Hugging Face transformers reads and writes it.
inline constexpr Family qwen3_family{
    "qwen3",
    [](const ModelConfig& config) { return detail::is_qwen(config, &AttentionConfig::query_key_norm); },
    [](const ConfigJson& json) {
      const auto add_norm = [](AttentionConfig& attention, const ModelConfig& model) {
        attention.query_key_norm = true;
        attention.norm_epsilon = model.norm_epsilon;
      };
      ModelConfig config = detail::read_attention(json, {.key_value_heads = 32, .head_dim = 128}, add_norm);
      detail::refuse_biases(json);
      detail::read_qwen_window(json, config);
      return config;
    },
    detail::write_qwen,
    [](nlohmann::json& json) { detail::write_qwen_defaults(json, "Qwen3ForCausalLM"); },
    detail::attention_tensor_name,
    detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
