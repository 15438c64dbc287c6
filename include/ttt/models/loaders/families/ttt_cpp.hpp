// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// Sizes and options of attention, for all of which there is a key.
inline ModelConfig read_any_attention(const ConfigJson& json, const std::string& layer) {
  ModelConfig config = read_attention(json);
  refuse_biases(json);
  config.attention.bias = json.flag_or("qkv_bias", false);
  config.attention.query_key_norm = json.flag_or("qk_norm", false);
  read_rotary_blocks(json, config, 0);
  config.layer = layer;
  if (layer == "sliding-window")
    config.window = json.whole("sliding_window");
  else if (json.has("sliding_window"))
    json.fail("sliding_window", "null, as it means nothing to layer " + layer);
  return config;
}

inline void write_any_attention(const ModelConfig& config, nlohmann::json& json) {
  write_attention(config, json);
  json["qkv_bias"] = config.attention.bias;
  json["qk_norm"] = config.attention.query_key_norm;
  write_rotary_blocks(config, json);
  json["conv_kernel"] = config.conv_taps;
  json["sliding_window"] = nullptr;
  if (config.layer == "sliding-window") json["sliding_window"] = config.window;
}

}  // namespace detail

/// Every model of this library, under its own names: for combinations that no Python class has, such as attention with
/// the mamba backbone. Keys that other kinds have too are called the same.
inline constexpr Family ttt_cpp_family{
    "ttt-cpp",
    [](const ModelConfig&) { return true; },
    [](const ConfigJson& json) {
      const std::string layer = json.text("layer");
      if (std::find(layer_names.begin(), layer_names.end(), layer) == layer_names.end())
        json.fail("layer", "one of " + known_layers());
      const bool attention = layer == "attention" || layer == "sliding-window";
      ModelConfig config = attention ? detail::read_any_attention(json, layer) : detail::read_ttt_common(json);
      config.layer = layer;
      const std::string backbone = json.text("backbone");
      if (backbone != "transformer" && backbone != "mamba") json.fail("backbone", "one of transformer, mamba");
      config.backbone = backbone == "mamba" ? Backbone::mamba : Backbone::transformer;
      if (config.backbone == Backbone::mamba) config.conv_taps = json.whole_or("conv_kernel", config.conv_taps);
      return config;
    },
    [](const ModelConfig& config, nlohmann::json& json) {
      if (is_ttt(config))
        detail::write_ttt_common(config, json);
      else
        detail::write_any_attention(config, json);
      json["layer"] = config.layer;
      json["backbone"] = config.backbone == Backbone::mamba ? "mamba" : "transformer";
    },
    detail::write_attention_defaults,
    detail::same_name,
    detail::nothing_derived};

}  // namespace loaders

TTT_NAMESPACE_END
