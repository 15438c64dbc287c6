// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// Every model of this library, under its own names: for combinations that no Python class has, such as attention with
/// the mamba backbone. Keys that other kinds have too are called the same.
inline constexpr Family ttt_cpp_family{
    "ttt-cpp",
    [](const ModelConfig&) { return true; },
    [](const ConfigJson& json) {
      ModelConfig config = detail::read_attention(json, 0);
      config.layer = json.text("layer");
      if (std::find(layer_names.begin(), layer_names.end(), config.layer) == layer_names.end())
        json.fail("layer", "one of " + known_layers());
      const std::string backbone = json.text("backbone");
      if (backbone != "transformer" && backbone != "mamba") json.fail("backbone", "one of transformer, mamba");
      config.backbone = backbone == "mamba" ? Backbone::mamba : Backbone::transformer;
      config.gate = json.flag_or("use_gate", false);
      config.share_query_key = json.flag_or("share_qk", false);
      config.mini_batch = json.whole_or("mini_batch_size", config.mini_batch);
      config.base_learning_rate = json.positive_or("ttt_base_lr", config.base_learning_rate);
      config.conv_taps = json.whole_or("conv_kernel", config.conv_taps);
      if (config.layer == "sliding-window")
        config.window = json.whole("sliding_window");
      else if (json.has("sliding_window"))
        json.fail("sliding_window", "null, as it means nothing to layer " + config.layer);
      return config;
    },
    [](const ModelConfig& config, nlohmann::json& json) {
      detail::write_attention(config, json);
      json["layer"] = config.layer;
      json["backbone"] = config.backbone == Backbone::mamba ? "mamba" : "transformer";
      json["conv_kernel"] = config.conv_taps;
      if (config.layer == "sliding-window") json["sliding_window"] = config.window;
      if (!is_ttt(config)) return;
      json["use_gate"] = config.gate;
      json["share_qk"] = config.share_query_key;
      json["mini_batch_size"] = config.mini_batch;
      json["ttt_base_lr"] = config.base_learning_rate;
    },
    detail::write_attention_defaults,
    detail::same_name,
    detail::nothing_derived};

}  // namespace loaders

TTT_NAMESPACE_END
