// SPDX-License-Identifier: MIT
/// @file
/// What the kinds with Mamba-2 beside attention share: sizes of the scan, which blocks are what, the names of tensors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/models/loaders/families/hybrid_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

/// time_step_limit: two numbers, of which the second may be infinite (null, or what transformers 5 writes for it).
inline void read_step_limits(const ConfigJson& json, Mamba2Config& mamba) {
  if (!json.has("time_step_limit")) return;
  const auto& limits = json.list("time_step_limit", 2);
  const bool is_infinite = limits[1].is_null() || limits[1] == nlohmann::json{{"__float__", "Infinity"}};
  if (!limits[0].is_number() || !(is_infinite || limits[1].is_number())) json.fail("time_step_limit", "two numbers");
  mamba.smallest_step = limits[0].get<double>();
  mamba.largest_step = is_infinite ? std::numeric_limits<double>::infinity() : limits[1].get<double>();
}

inline void write_step_limits(const Mamba2Config& mamba, nlohmann::json& json) {
  json["time_step_limit"] = {mamba.smallest_step,
                             is_finite(mamba.largest_step) ? nlohmann::json(mamba.largest_step) : nlohmann::json()};
}

/// With its width, and with what zeros stand for. Throws Error for options that make no layer.
template <class Config>
Config sized(Config layer, Index width) {
  layer.width = width;
  layer.resolve();
  return layer;
}

/// The keys mamba_…; the inner width must be mamba_expand times that of the model.
inline Mamba2Config read_mixer(const ConfigJson& json, const ModelConfig& config) {
  if (json.flag_or("mamba_proj_bias", false))
    json.fail("mamba_proj_bias", "false, as biases of projections are not supported");
  if (!json.flag_or("mamba_conv_bias", true)) json.fail("mamba_conv_bias", "true");
  Mamba2Config mamba;
  const Index inner = json.whole_or("mamba_expand", 2) * config.width;
  if (inner > std::numeric_limits<std::int32_t>::max()) json.fail("mamba_expand", "a smaller number");
  mamba.heads = json.whole_or("mamba_n_heads", 128);
  const bool is_auto = !json.has("mamba_d_head") || json.json()["mamba_d_head"] == "auto";
  mamba.head_width = is_auto ? inner / mamba.heads : json.whole("mamba_d_head");
  if (mamba.inner_width() != inner)
    json.fail("mamba_n_heads",
              "mamba_expand times hidden_size over mamba_d_head = " + std::to_string(mamba.head_width));
  if (mamba.inner_width() == 2 * config.width) mamba.head_width = 0;
  mamba.groups = json.whole_or("mamba_n_groups", 1);
  mamba.state_width = json.whole_or("mamba_d_state", 256);
  mamba.conv_taps = json.whole_or("mamba_d_conv", 4);
  mamba.norm_epsilon = config.norm_epsilon;
  read_step_limits(json, mamba);
  return mamba;
}

inline void write_mixer(const ModelConfig& config, const Mamba2Config& layer, nlohmann::json& json) {
  const Mamba2Config mamba = sized(layer, config.width);
  json["mamba_proj_bias"] = false;
  json["mamba_conv_bias"] = true;
  json["mamba_expand"] = mamba.inner_width() / config.width;
  json["mamba_n_heads"] = mamba.heads;
  json["mamba_d_head"] = mamba.head_width;
  json["mamba_n_groups"] = mamba.groups;
  json["mamba_d_state"] = mamba.state_width;
  json["mamba_d_conv"] = mamba.conv_taps;
  write_step_limits(mamba, json);
}

/// Blocks of one or the other layer, `attends` over and over, the MLPs of which are alike.
inline void set_hybrid(const ConfigJson& json, ModelConfig& config, const std::vector<bool>& attends,
                       const AttentionConfig& attention, Index hidden) {
  const bool scans = std::find(attends.begin(), attends.end(), false) != attends.end();
  const LayerDescription full = windowed(attention, 0);
  const LayerDescription scan(kinds::Mamba2::name, scans ? read_mixer(json, config) : Mamba2Config{});
  std::vector<BlockDescription> blocks;
  for (const bool each : attends) blocks.push_back({each ? full : scan, Backbone::transformer, hidden});
  config.set_pattern(std::move(blocks));
}

/// The names of the two kinds of layers.
inline std::string hybrid_tensor_name(std::string_view name) {
  return replaced(std::string(name), {{layer_part, is_of_attention(name) ? ".self_attn." : ".mamba."},
                                      {".seq_norm.", ".input_layernorm."}});
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
