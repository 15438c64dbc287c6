// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// Attention over everything with the transformer backbone, as `LlamaForCausalLM` of Hugging Face transformers reads
/// and writes it (rotary pairs are the two halves of a head).
inline constexpr Family llama_family{
    "llama",
    [](const ModelConfig& config) { return config.layer == "attention" && config.backbone == Backbone::transformer; },
    [](const ConfigJson& json) { return detail::read_attention(json, 0); },
    detail::write_attention,
    [](nlohmann::json& json) {
      detail::write_attention_defaults(json);
      json["architectures"] = {"LlamaForCausalLM"};
      json["attention_bias"] = json["mlp_bias"] = false;
      json["max_position_embeddings"] = 2048;
      json["pretraining_tp"] = 1;
      json["rope_scaling"] = nullptr;
    },
    detail::attention_tensor_name,
    detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
