// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// Rows of queries, keys and values in one tensor of each block, and of the two projections of the SwiGLU.
inline std::vector<FusedTensor> phi3_tensors(const ModelConfig& config) {
  const BlockDescription& block = config.pattern.front();
  AttentionConfig layer = attention_of(block);
  layer.width = config.width;
  const Index queries = layer.query_width(), keys = layer.key_value_width();
  std::vector<FusedTensor> tensors;
  for (Index i = 0; i < config.depth; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    tensors.push_back({attention + "qkv_proj.weight",
                       {{attention + "q_proj.weight", queries},
                        {attention + "k_proj.weight", keys},
                        {attention + "v_proj.weight", keys}}});
    tensors.push_back({mlp + "gate_up_proj.weight",
                       {{mlp + "gate_proj.weight", block.hidden}, {mlp + "up_proj.weight", block.hidden}}});
  }
  return tensors;
}

inline ModelConfig read_phi3(const ConfigJson& json) {
  using Kind = Scaling::Kind;
  ModelConfig config = read_attention(json, {.norm_epsilon = 1e-5, .partial_rotary = true});
  refuse_biases(json);
  const AttentionConfig& attention = attention_of(config.pattern.front());
  const Kind kind = attention.rotary_scaling.kind;
  if (kind != Kind::none && kind != Kind::longrope)
    json.fail(json.has("rope_scaling") ? "rope_scaling" : "rope_parameters", "none or longrope");
  const Index window = json.whole_or("sliding_window", attention.positions());
  if (window < attention.positions()) set_window(config, window);
  check_layer_types(json, config);
  return config;
}

}  // namespace detail

/// Attention, sliding-window or not, with the transformer backbone and fused projections, as `Phi3ForCausalLM` of
/// Hugging Face transformers has it. Written it is a mistral or a llama, or with longrope or part of the channels
/// turned a ttt-cpp, which has the same numbers.
inline constexpr Family phi3_family{"phi3",
                                    nullptr,
                                    detail::read_phi3,
                                    detail::write_attention,
                                    [](nlohmann::json&) {},
                                    detail::attention_tensor_name,
                                    detail::is_rotary_table,
                                    detail::phi3_tensors};

}  // namespace loaders

TTT_NAMESPACE_END
