// SPDX-License-Identifier: MIT
/// @file
/// What the kinds of models with attention share: sizes of heads, windows, the names of tensors.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

/// Attention with the transformer backbone and no options but a head width and a scaled rotary embedding.
inline bool is_plain_attention(const ModelConfig& config) {
  const AttentionOptions& options = config.attention;
  return !is_ttt(config) && config.backbone == Backbone::transformer && !options.bias && !options.query_key_norm &&
         options.rotary.empty();
}

/// num_key_value_heads and head_dim.
inline void read_heads(const ConfigJson& json, ModelConfig& config, const ClassDefaults& defaults) {
  const char* const key = "num_key_value_heads";
  const Index missing = json.contains(key) || defaults.key_value_heads == 0 ? config.heads : defaults.key_value_heads;
  const Index groups = json.whole_or(key, missing);
  if (config.heads % groups != 0)
    json.fail(key, "a divisor of num_attention_heads = " + std::to_string(config.heads), std::to_string(groups));
  config.key_value_heads = groups == config.heads ? 0 : groups;
  if (!json.has("head_dim") && defaults.head_dim == 0) return check_heads(json, config);
  const Index width = json.whole_or("head_dim", defaults.head_dim);
  if (width % 2 != 0) json.fail("head_dim", "an even number for the rotary embedding", std::to_string(width));
  config.attention.head_channels = width * config.heads == config.width ? 0 : width;
}

/// Biases that no layer here has. Where the key stands for those of queries, keys and values, it does for that of the
/// output, too.
inline void refuse_biases(const ConfigJson& json) {
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (json.flag_or(key, false)) json.fail(key, "false, as biases of projections are not supported");
}

/// layer_types, where it is there, must say what all blocks are.
inline void check_layer_types(const ConfigJson& json, const ModelConfig& config) {
  if (!json.has("layer_types")) return;
  const std::string type = config.layer == "sliding-window" ? "sliding_attention" : "full_attention";
  for (const auto& each : json.list("layer_types", config.depth))
    if (each != type) json.fail("layer_types", "\"" + type + "\" for every block, which is what the other keys say");
}

/// Attention over everything.
inline ModelConfig read_attention(const ConfigJson& json, const ClassDefaults& defaults = {}) {
  ModelConfig config = read_common(json, defaults);
  config.layer = "attention";
  read_heads(json, config, defaults);
  return config;
}

inline void write_attention(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  json["num_key_value_heads"] = config.key_value_heads == 0 ? config.heads : config.key_value_heads;
  json["head_dim"] = config.head_width();
  json["attention_bias"] = json["mlp_bias"] = false;
  if (json.contains("layer_types"))
    json["layer_types"] =
        std::vector<std::string>(static_cast<std::size_t>(config.depth),
                                 config.layer == "sliding-window" ? "sliding_attention" : "full_attention");
}

inline void write_attention_defaults(nlohmann::json& json) {
  write_common_defaults(json);
  json["attention_dropout"] = 0.0;
  json["use_cache"] = true;
}

/// Throws for windows in some blocks only.
inline bool has_windows(const ConfigJson& json, const ModelConfig& config) {
  if (json.has("layer_types")) return json.list("layer_types", config.depth).front() == "sliding_attention";
  const Index first = json.has("max_window_layers") ? json.whole("max_window_layers", 0) : 28;
  if (first > 0 && first < config.depth)
    json.fail("max_window_layers",
              "0 or at least num_hidden_layers = " + std::to_string(config.depth) + ", as blocks are alike",
              std::to_string(first));
  return first == 0;
}

/// Qwen has a window in the blocks from max_window_layers on, or in those that layer_types names, where
/// use_sliding_window is set.
inline void read_qwen_window(const ConfigJson& json, ModelConfig& config) {
  const bool none = json.contains("sliding_window") && !json.has("sliding_window");
  if (json.flag_or("use_sliding_window", false) && !none && has_windows(json, config)) {
    config.layer = "sliding-window";
    config.window = json.whole_or("sliding_window", 4096);
  }
  check_layer_types(json, config);
}

inline void write_qwen_window(const ModelConfig& config, nlohmann::json& json) {
  json["use_sliding_window"] = config.layer == "sliding-window";
  if (config.layer != "sliding-window") return;
  json["sliding_window"] = config.window;
  json["max_window_layers"] = 0;
}

/// no_rope_layers: 1 for each block with the rotary embedding, 0 for those without. Without the list, `interval` is the
/// distance of those without; 0: there are none.
inline void read_rotary_blocks(const ConfigJson& json, ModelConfig& config, Index interval) {
  const char* const key = "no_rope_layers";
  if (!json.has(key) && interval == 0) return;
  std::vector<bool> rotary;
  if (!json.has(key) && config.depth > 4096) json.fail(key, "a list, with so many blocks");
  if (!json.has(key))
    for (Index block = 1; block <= config.depth; ++block) rotary.push_back(block % interval != 0);
  else
    for (const auto& each : json.list(key, config.depth)) {
      if (each != 0 && each != 1) json.fail(key, "1 or 0 for every block");
      rotary.push_back(each == 1);
    }
  if (std::find(rotary.begin(), rotary.end(), false) != rotary.end()) config.attention.rotary = std::move(rotary);
}

inline void write_rotary_blocks(const ModelConfig& config, nlohmann::json& json) {
  std::vector<int> blocks(static_cast<std::size_t>(config.depth), 1);
  const std::vector<bool>& rotary = config.attention.rotary;
  std::copy(rotary.begin(), rotary.end(), blocks.begin());
  json["no_rope_layers"] = blocks;
}

/// The names of the parts of a block.
inline std::string attention_tensor_name(std::string_view name) {
  using Names = std::pair<std::string_view, std::string_view>;
  constexpr std::array<Names, 3> parts{Names{".seq_modeling_block.", ".self_attn."},
                                       Names{".seq_norm.", ".input_layernorm."},
                                       Names{".ffn_norm.", ".post_attention_layernorm."}};
  for (const auto& [ours, theirs] : parts)
    if (const auto place = name.find(ours); place != std::string_view::npos)
      return std::string(name.substr(0, place)) + std::string(theirs) + std::string(name.substr(place + ours.size()));
  return std::string(name);
}

/// Older files carry the frequencies of the rotary embedding, which follow from rope_theta.
inline bool is_rotary_table(std::string_view name) { return name.ends_with(".self_attn.rotary_emb.inv_freq"); }

}  // namespace loaders::detail

TTT_NAMESPACE_END
