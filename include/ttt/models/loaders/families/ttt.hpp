// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// The published TTT models (github.com/test-time-training/ttt-lm-pytorch): TTT-Linear and TTT-MLP with either
/// backbone, whose three differences (pre_conv, use_gate, share_qk) are keys of their own.
inline constexpr Family ttt_family{
    "ttt",
    is_ttt,
    [](const ConfigJson& json) {
      ModelConfig config = detail::read_common(json, true);
      if (json.whole_or("num_key_value_heads", config.heads) != config.heads)
        json.fail("num_key_value_heads",
                  "num_attention_heads = " + std::to_string(config.heads) + ", as TTT has no grouped heads");
      const std::string type = json.text_or("ttt_layer_type", "linear");
      if (type != "linear" && type != "mlp") json.fail("ttt_layer_type", "one of linear, mlp");
      config.layer = "ttt-" + type;
      config.backbone = json.flag_or("pre_conv", false) ? Backbone::mamba : Backbone::transformer;
      config.gate = json.flag_or("use_gate", false);
      config.share_query_key = json.flag_or("share_qk", false);
      config.mini_batch = json.whole_or("mini_batch_size", 16);
      config.base_learning_rate = json.positive_or("ttt_base_lr", 1);
      config.conv_taps = json.whole_or("conv_kernel", 4);
      return config;
    },
    [](const ModelConfig& config, nlohmann::json& json) {
      detail::write_common(config, json);
      json["ttt_layer_type"] = config.layer == "ttt-mlp" ? "mlp" : "linear";
      json["pre_conv"] = config.backbone == Backbone::mamba;
      json["use_gate"] = config.gate;
      json["share_qk"] = config.share_query_key;
      json["mini_batch_size"] = config.mini_batch;
      json["ttt_base_lr"] = config.base_learning_rate;
      json["conv_kernel"] = config.conv_taps;
    },
    [](nlohmann::json& json) {
      detail::write_common_defaults(json);
      json["architectures"] = {"TTTForCausalLM"};
      json["max_position_embeddings"] = 2048;
      json["pretraining_tp"] = 1;
      json["scan_checkpoint_group_size"] = 0;
      json["use_cache"] = false;
    },
    detail::same_name,
    detail::nothing_derived};

}  // namespace loaders

TTT_NAMESPACE_END
