// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// Attention, sliding-window or not, with the transformer backbone, as `MistralForCausalLM` of Hugging Face
/// transformers reads and writes it. A `sliding_window` of null (as in later Mistral models) means attention over
/// everything; without the key, as without num_key_value_heads, the value is that of the Python class.
inline constexpr Family mistral_family{"mistral",
                                       [](const ModelConfig& config) {
                                         return (config.layer == "sliding-window" || config.layer == "attention") &&
                                                config.backbone == Backbone::transformer;
                                       },
                                       [](const ConfigJson& json) {
                                         ModelConfig config =
                                             detail::read_attention(json, json.contains("num_key_value_heads") ? 0 : 8);
                                         if (json.contains("sliding_window") && !json.has("sliding_window"))
                                           return config;
                                         config.layer = "sliding-window";
                                         config.window = json.whole_or("sliding_window", 4096);
                                         return config;
                                       },
                                       [](const ModelConfig& config, nlohmann::json& json) {
                                         detail::write_attention(config, json);
                                         json["head_dim"] = config.width / config.heads;
                                         json["sliding_window"] = nullptr;
                                         if (config.layer == "sliding-window") json["sliding_window"] = config.window;
                                       },
                                       [](nlohmann::json& json) {
                                         detail::write_attention_defaults(json);
                                         json["architectures"] = {"MistralForCausalLM"};
                                         json["max_position_embeddings"] = 131072;
                                       },
                                       detail::attention_tensor_name,
                                       detail::is_rotary_table};

}  // namespace loaders

TTT_NAMESPACE_END
