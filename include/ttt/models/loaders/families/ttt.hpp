// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// ttt_layer_type of each layer.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 2> ttt_layer_types{
    {{"linear", kinds::TttLinear::name}, {"mlp", kinds::TttMlp::name}}};

inline LayerDescription read_ttt_layer(const ConfigJson& json, Index width) {
  const std::string type = json.text_or("ttt_layer_type", "linear");
  const auto* found = std::find_if(ttt_layer_types.begin(), ttt_layer_types.end(),
                                   [&](const auto& each) { return each.first == type; });
  if (found == ttt_layer_types.end()) json.fail("ttt_layer_type", "one of linear, mlp");
  LayerDescription layer(found->second);
  TttConfig& ttt = *layer.find<TttConfig>();
  ttt.heads = json.whole("num_attention_heads");
  check_heads(json, width, ttt.heads);
  if (json.whole_or("num_key_value_heads", ttt.heads) != ttt.heads)
    json.fail("num_key_value_heads",
              "num_attention_heads = " + std::to_string(ttt.heads) + ", as TTT has no grouped heads");
  const Rotary rotary = read_rotary(json, 10000);
  if (rotary.scaling != Scaling{})
    json.fail(json.has("rope_scaling") ? "rope_scaling" : "rope_parameters",
              "none, as the rotary embedding of TTT layers is not scaled");
  ttt.rope_theta = rotary.theta;
  ttt.gate = json.flag_or("use_gate", false);
  ttt.share_query_key = json.flag_or("share_qk", false);
  ttt.mini_batch = json.whole_or("mini_batch_size", 16);
  ttt.base_learning_rate = json.positive_or("ttt_base_lr", 1);
  ttt.conv_taps = json.whole_or("conv_kernel", 4);
  return layer;
}

inline ModelConfig read_ttt(const ConfigJson& json) {
  ModelConfig config = read_common(json, {.tied = true});
  BlockDescription& block = config.pattern.front();
  block.layer = read_ttt_layer(json, config.width);
  block.hidden = json.whole("intermediate_size");
  block.conv_taps = block.layer.find<TttConfig>()->conv_taps;
  block.backbone = json.flag_or("pre_conv", false) ? Backbone::mamba : Backbone::transformer;
  return config;
}

inline void write_ttt(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  const BlockDescription& block = config.pattern.front();
  const TttConfig& ttt = *block.layer.find<TttConfig>();
  for (const auto& [type, name] : ttt_layer_types)
    if (name == block.layer.name()) json["ttt_layer_type"] = type;
  json["pre_conv"] = block.backbone == Backbone::mamba;
  json["intermediate_size"] = block.hidden;
  json["num_attention_heads"] = ttt.heads;
  write_rotary(ttt.rope_theta, {}, json);
  json["use_gate"] = ttt.gate;
  json["share_qk"] = ttt.share_query_key;
  json["mini_batch_size"] = ttt.mini_batch;
  json["ttt_base_lr"] = *ttt.base_learning_rate;
  json["conv_kernel"] = ttt.conv_taps;
}

/// One kind of TTT layer in all blocks, with no option that there is no key for.
inline bool is_published_ttt(const ModelConfig& config) {
  const BlockDescription& block = config.pattern.front();
  const TttConfig* ttt = block.layer.find<TttConfig>();
  const auto is_layer = [&] {
    TttConfig layer = *ttt;
    layer.width = config.width;
    check(layer);
  };
  return config.pattern.size() == 1 && ttt && has_plain_frame(config) && is_sound(is_layer) && block.hidden != 0 &&
         block.conv_taps == ttt->conv_taps && ttt->base_learning_rate.value_or(0) > 0 &&
         ttt->norm_epsilon == TttConfig{}.norm_epsilon && ttt->order == TttConfig{}.order && ttt->initial_rank == 0;
}

}  // namespace detail

/// The published TTT models (github.com/test-time-training/ttt-lm-pytorch): TTT-Linear and TTT-MLP with either
/// backbone, whose three differences (pre_conv, use_gate, share_qk) are keys of their own.
inline constexpr Family ttt_family{"ttt",
                                   detail::is_published_ttt,
                                   detail::read_ttt,
                                   detail::write_ttt,
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
