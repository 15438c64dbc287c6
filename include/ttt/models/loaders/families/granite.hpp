// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// What embeddings, what layers say and logits are times; the last as a divisor.
inline void read_scales(const ConfigJson& json, ModelConfig& config) {
  config.embedding_scale = json.positive_or("embedding_multiplier", 1);
  config.residual_scale = json.positive_or("residual_multiplier", 1);
  config.logit_scale = 1 / json.positive_or("logits_scaling", 1);
  if (!is_finite(config.logit_scale)) json.fail("logits_scaling", "a number that logits can be divided by");
}

inline void write_scales(const ModelConfig& config, nlohmann::json& json) {
  json["embedding_multiplier"] = config.embedding_scale;
  json["residual_multiplier"] = config.residual_scale;
  json["logits_scaling"] = 1 / config.logit_scale;
}

inline ModelConfig read_granite(const ConfigJson& json) {
  const auto add_scale = [&](AttentionConfig& attention, const ModelConfig&) {
    attention.score_scale = json.positive_or("attention_multiplier", 1);
  };
  ModelConfig config = read_attention(json, {}, add_scale);
  refuse_biases(json);
  read_scales(json, config);
  check_layer_types(json, config);
  return config;
}

inline void write_granite(const ModelConfig& config, nlohmann::json& json) {
  write_attention(config, json);
  write_scales(config, json);
  json["attention_multiplier"] = attention_of(config.pattern.front()).score_scale;
}

}  // namespace detail

/// A llama whose embeddings, scores, residual branches and logits are times a number each, as `GraniteForCausalLM` of
/// Hugging Face transformers reads and writes it.
inline constexpr Family granite_family{"granite",
                                       [](const ModelConfig& config) {
                                         return detail::comes_back<AttentionConfig>(config, detail::write_granite,
                                                                                    detail::read_granite);
                                       },
                                       detail::read_granite,
                                       detail::write_granite,
                                       [](nlohmann::json& json) {
                                         detail::write_attention_defaults(json);
                                         json["architectures"] = {"GraniteForCausalLM"};
                                         json["max_position_embeddings"] = 2048;
                                       },
                                       detail::attention_tensor_name,
                                       detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
