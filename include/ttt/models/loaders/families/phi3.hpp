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

}  // namespace detail

/// Attention, sliding-window or not, with the transformer backbone and fused projections, as `Phi3ForCausalLM` of
/// Hugging Face transformers has it. Written it is a mistral or a llama, which has the same numbers.
inline constexpr Family phi3_family{"phi3",
                                    nullptr,
                                    [](const ConfigJson& json) {
                                      ModelConfig config = detail::read_attention(json, {.norm_epsilon = 1e-5});
                                      detail::refuse_biases(json);
                                      const auto& scaling = detail::attention_of(config.pattern.front()).rotary_scaling;
                                      if (scaling.kind != kernels::RotaryScaling::Kind::none)
                                        json.fail(json.has("rope_scaling") ? "rope_scaling" : "rope_parameters",
                                                  "none, as longrope is not supported");
                                      if (json.has("sliding_window"))
                                        detail::set_window(config, json.whole("sliding_window"));
                                      detail::check_layer_types(json, config);
                                      return config;
                                    },
                                    detail::write_attention,
                                    [](nlohmann::json&) {},
                                    detail::attention_tensor_name,
                                    detail::is_rotary_table,
                                    detail::phi3_tensors};

}  // namespace loaders

TTT_NAMESPACE_END
