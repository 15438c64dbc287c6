// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// Attention over everything with the transformer backbone, as `LlamaForCausalLM` of Hugging Face transformers reads
/// and writes it (rotary pairs are the two halves of a head).
inline constexpr Family llama_family{
    "llama",
    [](const ModelConfig& config) { return detail::is_attention(config, detail::forget_nothing); },
    [](const ConfigJson& json) {
      const ModelConfig config = detail::read_attention(json);
      detail::refuse_biases(json);
      detail::check_layer_types(json, config);
      return config;
    },
    detail::write_attention,
    [](nlohmann::json& json) {
      detail::write_attention_defaults(json);
      json["architectures"] = {"LlamaForCausalLM"};
      json["max_position_embeddings"] = 2048;
      json["pretraining_tp"] = 1;
    },
    detail::attention_tensor_name,
    detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
