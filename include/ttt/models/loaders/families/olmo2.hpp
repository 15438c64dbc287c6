// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// Norms behind the layers, and of queries and keys over all heads at once.
inline bool is_olmo2(const ModelConfig& config) {
  const auto has_norms = [&](const BlockDescription& block) {
    const AttentionConfig* attention = block.layer.find<AttentionConfig>();
    return attention && attention->query_key_norm && attention->whole_norm &&
           attention->norm_epsilon == config.norm_epsilon;
  };
  const auto forget_norms = [](AttentionConfig& attention) {
    attention.query_key_norm = attention.whole_norm = false;
    attention.norm_epsilon = AttentionConfig{}.norm_epsilon;
  };
  return config.every_block(has_norms) && is_attention(config, forget_norms, NormPlacement::after);
}

inline ModelConfig read_olmo2(const ConfigJson& json) {
  const auto add_norms = [](AttentionConfig& attention, const ModelConfig& model) {
    attention.query_key_norm = attention.whole_norm = true;
    attention.norm_epsilon = model.norm_epsilon;
  };
  ModelConfig config = read_attention(json, {.norm_epsilon = 1e-5}, add_norms);
  refuse_biases(json);
  check_layer_types(json, config);
  config.pattern.front().norms = NormPlacement::after;
  return config;
}

inline std::string olmo2_tensor_name(std::string_view name) {
  return replaced(std::string(name), {{".seq_modeling_block.", ".self_attn."},
                                      {".seq_post_norm.", ".post_attention_layernorm."},
                                      {".ffn_post_norm.", ".post_feedforward_layernorm."}});
}

}  // namespace detail

/// Attention with norms behind its layers, as `Olmo2ForCausalLM` of Hugging Face transformers reads and writes it.
inline constexpr Family olmo2_family{"olmo2",
                                     detail::is_olmo2,
                                     detail::read_olmo2,
                                     detail::write_attention,
                                     [](nlohmann::json& json) {
                                       detail::write_attention_defaults(json);
                                       json["architectures"] = {"Olmo2ForCausalLM"};
                                       json["max_position_embeddings"] = 2048;
                                     },
                                     detail::olmo2_tensor_name,
                                     detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
