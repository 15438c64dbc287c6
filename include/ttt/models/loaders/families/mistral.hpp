// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// Attention, sliding-window or not, with the transformer backbone, as `MistralForCausalLM` of Hugging Face
/// transformers reads and writes it. A `sliding_window` of null (as in later Mistral models) means attention over
/// everything; without the key, as without num_key_value_heads, the value is that of the Python class.
inline constexpr Family mistral_family{"mistral",
                                       [](const ModelConfig& config) {
                                         return detail::is_attention(config, detail::forget_window) &&
                                                detail::has_one_window(config);
                                       },
                                       [](const ConfigJson& json) {
                                         ModelConfig config = detail::read_attention(json, {.key_value_heads = 8});
                                         detail::refuse_biases(json);
                                         if (json.has("sliding_window") || !json.contains("sliding_window"))
                                           detail::set_window(config, json.whole_or("sliding_window", 4096));
                                         detail::check_layer_types(json, config);
                                         return config;
                                       },
                                       [](const ModelConfig& config, nlohmann::json& json) {
                                         detail::write_attention(config, json);
                                         json["sliding_window"] = nullptr;
                                         if (const Index window = detail::window_of(config))
                                           json["sliding_window"] = window;
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
