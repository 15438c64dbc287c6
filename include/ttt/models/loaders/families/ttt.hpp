// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// The published TTT models (github.com/test-time-training/ttt-lm-pytorch): TTT-Linear and TTT-MLP with either
/// backbone, whose three differences (pre_conv, use_gate, share_qk) are keys of their own.
inline constexpr Family ttt_family{"ttt",
                                   is_ttt,
                                   [](const ConfigJson& json) {
                                     ModelConfig config = detail::read_ttt_common(json);
                                     const std::string type = json.text_or("ttt_layer_type", "linear");
                                     if (type != "linear" && type != "mlp")
                                       json.fail("ttt_layer_type", "one of linear, mlp");
                                     config.layer = "ttt-" + type;
                                     config.backbone =
                                         json.flag_or("pre_conv", false) ? Backbone::mamba : Backbone::transformer;
                                     return config;
                                   },
                                   [](const ModelConfig& config, nlohmann::json& json) {
                                     detail::write_ttt_common(config, json);
                                     json["ttt_layer_type"] = config.layer == "ttt-mlp" ? "mlp" : "linear";
                                     json["pre_conv"] = config.backbone == Backbone::mamba;
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
