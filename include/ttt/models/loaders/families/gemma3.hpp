// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// The rotary embeddings of blocks that see everything, and of those with a window.
struct GemmaRotary {
  Rotary full{1'000'000}, local{10'000};
};

inline GemmaRotary read_gemma_rotary(const ConfigJson& json) {
  GemmaRotary rotary;
  const bool both = json.has("rope_parameters") && json.object("rope_parameters").contains("full_attention");
  if (both) {
    const ConfigJson keys = json.object("rope_parameters");
    rotary.full = read_rotary_object(keys.object("full_attention"), json, rotary.full.theta);
    rotary.local = read_rotary_object(keys.object("sliding_attention"), json, rotary.local.theta);
  } else {
    rotary.full = read_rotary(json, rotary.full.theta);
    rotary.local.theta = json.positive_or("rope_local_base_freq", rotary.local.theta);
  }
  return rotary;
}

/// Options of Gemma 3 that its published text models do not use.
inline void refuse_gemma_options(const ConfigJson& json) {
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (json.has(key)) json.fail(key, "null, as softcapping is not supported");
  if (json.flag_or("use_bidirectional_attention", false)) json.fail("use_bidirectional_attention", "false");
  if (json.text_or("hidden_activation", "gelu_pytorch_tanh") != "gelu_pytorch_tanh")
    json.fail("hidden_activation", "\"gelu_pytorch_tanh\"");
  refuse_biases(json);
}

inline ModelConfig read_gemma3(const ConfigJson& json) {
  refuse_gemma_options(json);
  const ClassDefaults defaults{.key_value_heads = 4, .head_dim = 256, .tied = true};
  ModelConfig config = read_common(json, defaults);
  config.one_plus_norms = true;
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  AttentionConfig attention;
  read_heads(json, config.width, attention, defaults);
  attention.query_key_norm = attention.one_plus_norm = true;
  attention.norm_epsilon = config.norm_epsilon;
  attention.score_scale = 1 / std::sqrt(json.positive_or("query_pre_attn_scalar", 256));
  config.pattern.front() = {windowed(attention, 0),       Backbone::transformer, json.whole("intermediate_size"),
                            BlockDescription{}.conv_taps, NormPlacement::around, kernels::Activation::gelu};

  const GemmaRotary rotary = read_gemma_rotary(json);
  const Index window = json.whole_or("sliding_window", 4096), interval = json.whole_or("sliding_window_pattern", 6);
  const auto types = read_layer_types(json, config);
  if (!types) check_block_count(json, config, "layer_types");
  change_blocks(config, [&](AttentionConfig& each, std::size_t i) {
    const bool slides = types ? (*types)[i] : static_cast<Index>(i + 1) % interval != 0;
    each.window = slides ? window : 0;
    each.rope_theta = slides ? rotary.local.theta : rotary.full.theta;
    each.rotary_scaling = slides ? rotary.local.scaling : rotary.full.scaling;
  });
  return config;
}

inline void write_gemma3(const ModelConfig& config, nlohmann::json& json) {
  json["layer_types"] = nlohmann::json::array();  // is always written
  write_attention(config, json);
  for (const char* key : {"hidden_act", "mlp_bias"}) json.erase(key);
  json["hidden_activation"] = "gelu_pytorch_tanh";
  for (const BlockDescription& block : config.pattern) {
    const AttentionConfig& attention = attention_of(block);
    const double scalar = 1 / (attention.score_scale * attention.score_scale), whole = std::round(scalar);
    json["query_pre_attn_scalar"] = std::abs(scalar - whole) < 1e-9 * whole ? whole : scalar;
    if (attention.window == 0)
      write_rotary(attention.rope_theta, attention.rotary_scaling, json);
    else
      json["sliding_window"] = attention.window, json["rope_local_base_freq"] = attention.rope_theta;
  }
}

inline std::string gemma3_tensor_name(std::string_view name) {
  return replaced(std::string(name), {{".seq_modeling_block.", ".self_attn."},
                                      {".seq_norm.", ".input_layernorm."},
                                      {".seq_post_norm.", ".post_attention_layernorm."},
                                      {".ffn_norm.", ".pre_feedforward_layernorm."},
                                      {".ffn_post_norm.", ".post_feedforward_layernorm."}});
}

}  // namespace detail

/// The text models of Gemma 3, as `Gemma3ForCausalLM` of Hugging Face transformers reads and writes them: windows in
/// most blocks, with a rotary embedding of their own; norms on both sides of every layer.
inline constexpr Family gemma3_family{"gemma3_text",
                                      [](const ModelConfig& config) {
                                        return detail::comes_back<AttentionConfig>(config, detail::write_gemma3,
                                                                                   detail::read_gemma3);
                                      },
                                      detail::read_gemma3,
                                      detail::write_gemma3,
                                      [](nlohmann::json& json) {
                                        detail::write_attention_defaults(json);
                                        json["architectures"] = {"Gemma3ForCausalLM"};
                                        json["max_position_embeddings"] = 131072;
                                      },
                                      detail::gemma3_tensor_name,
                                      detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
