// SPDX-License-Identifier: MIT
/// @file
/// What the kinds of models with attention share: sizes of heads, windows, the names of tensors.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

/// That of a block, which must be attention.
inline const AttentionConfig& attention_of(const BlockDescription& block) {
  return *block.layer.find<AttentionConfig>();
}

inline Index head_width(const ModelConfig& config, AttentionConfig attention) {
  attention.width = config.width;
  return attention.head_width();
}

/// Attention over everything, or with a window and the memory that this needs.
inline LayerDescription windowed(AttentionConfig attention, Index window) {
  attention.window = window;
  attention.memory = window == 0 ? AttentionMemory::growing : AttentionMemory::ring;
  return {window == 0 ? kinds::Attention::name : kinds::SlidingWindow::name, attention};
}

inline void forget_window(AttentionConfig& attention) {
  attention.window = 0;
  attention.memory = AttentionMemory::growing;
}
inline void forget_nothing(AttentionConfig&) {}

/// Whether all blocks are attention with the transformer backbone, alike and plain but for their heads, of even width,
/// and rotary frequencies once `forget(attention)` has taken away what a kind of folder has keys for.
template <class Forget>
bool is_attention(const ModelConfig& config, Forget&& forget, NormPlacement norms = NormPlacement::before) {
  const auto plain = [&](const BlockDescription& block) {
    AttentionConfig attention = attention_of(block);
    forget(attention);
    return attention;
  };
  const AttentionConfig* front = config.pattern.front().layer.find<AttentionConfig>();
  if (!front || !has_plain_frame(config, norms)) return false;
  const bool has_heads =
      front->heads > 0 && front->key_value_heads >= 0 && front->heads % front->key_value_count() == 0;
  if (!has_heads || head_width(config, *front) < 1 || head_width(config, *front) % 2 != 0) return false;
  if (!is_sound([&] { kernels::check(front->rotary_scaling, front->rope_theta, ""); })) return false;
  if (front->rotary_scaling.kind == Scaling::Kind::longrope) return false;  // files have the list beyond L, too
  AttentionConfig expected;
  expected.heads = front->heads, expected.key_value_heads = front->key_value_heads;
  expected.head_channels = front->head_channels;
  expected.rope_theta = front->rope_theta, expected.rotary_scaling = front->rotary_scaling;
  return config.every_block([&](const BlockDescription& block) {
    return block.layer.find<AttentionConfig>() &&
           block.layer == windowed(attention_of(block), attention_of(block).window) &&
           block.backbone == Backbone::transformer && block.hidden != 0 &&
           block.hidden == config.pattern.front().hidden && plain(block) == expected;
  });
}

/// Whether every block has the same window, or none.
inline bool has_one_window(const ModelConfig& config) {
  return config.every_block([&](const BlockDescription& block) {
    return attention_of(block).window == attention_of(config.pattern.front()).window;
  });
}

/// The window of the blocks that have one, or 0.
inline Index window_of(const ModelConfig& config) {
  Index window = 0;
  for (const BlockDescription& block : config.pattern) window = std::max(window, attention_of(block).window);
  return window;
}

/// num_attention_heads, num_key_value_heads and head_dim.
inline void read_heads(const ConfigJson& json, Index width, AttentionConfig& attention, const ClassDefaults& defaults) {
  const char* const key = "num_key_value_heads";
  attention.heads = json.whole("num_attention_heads");
  const Index missing =
      json.contains(key) || defaults.key_value_heads == 0 ? attention.heads : defaults.key_value_heads;
  const Index groups = json.whole_or(key, missing);
  if (attention.heads % groups != 0)
    json.fail(key, "a divisor of num_attention_heads = " + std::to_string(attention.heads), std::to_string(groups));
  attention.key_value_heads = groups == attention.heads ? 0 : groups;
  if (!json.has("head_dim") && defaults.head_dim == 0) return check_heads(json, width, attention.heads);
  const Index channels = json.whole_or("head_dim", defaults.head_dim);
  if (channels % 2 != 0) json.fail("head_dim", "an even number for the rotary embedding", std::to_string(channels));
  attention.head_channels = channels * attention.heads == width ? 0 : channels;
}

/// Turns `part` of the channels of a head.
inline void turn_part(const ConfigJson& json, const ModelConfig& config, double part, AttentionConfig& attention) {
  const auto turned = static_cast<Index>(static_cast<double>(head_width(config, attention)) * part);
  if (turned % 2 != 0)
    json.fail("partial_rotary_factor", "an even number of channels of a head", std::to_string(turned));
  attention.rotary_channels = part == 1 ? 0 : turned;
}

/// partial_rotary_factor.
inline double rotary_part(const ModelConfig& config, const AttentionConfig& attention) {
  const auto width = static_cast<double>(head_width(config, attention));
  return attention.rotary_channels == 0 ? 1 : static_cast<double>(attention.rotary_channels) / width;
}

/// Biases that no layer here has. Where the key stands for those of queries, keys and values, it does for that of the
/// output, too.
inline void refuse_biases(const ConfigJson& json) {
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (json.flag_or(key, false)) json.fail(key, "false, as biases of projections are not supported");
}

/// layer_types, where it is there: for each block whether it has a window. Throws Error for other types.
inline std::optional<std::vector<bool>> read_layer_types(const ConfigJson& json, const ModelConfig& config) {
  if (!json.has("layer_types")) return std::nullopt;
  std::vector<bool> has_window;
  for (const auto& each : json.list("layer_types", config.depth)) {
    if (each != "sliding_attention" && each != "full_attention")
      json.fail("layer_types", "full_attention or sliding_attention for every block");
    has_window.push_back(each == "sliding_attention");
  }
  return has_window;
}

/// layer_types, where it is there, must say what all blocks are, as the kind does not look at it.
inline void check_layer_types(const ConfigJson& json, const ModelConfig& config) {
  const std::string type = window_of(config) == 0 ? "full_attention" : "sliding_attention";
  if (!json.has("layer_types")) return;
  for (const auto& each : json.list("layer_types", config.depth))
    if (each != type) json.fail("layer_types", "\"" + type + "\" for every block, which is what the other keys say");
}

/// Attention over everything, in all blocks; `extra(attention, model)` sets what the kind has besides.
template <class Extra>
ModelConfig read_attention(const ConfigJson& json, const ClassDefaults& defaults, Extra&& extra) {
  ModelConfig config = read_common(json, defaults);
  AttentionConfig attention;
  read_heads(json, config.width, attention, defaults);
  const Rotary rotary =
      defaults.partial_rotary ? read_partial_rotary(json, defaults.rope_theta) : read_rotary(json, defaults.rope_theta);
  attention.rope_theta = rotary.theta, attention.rotary_scaling = rotary.scaling;
  turn_part(json, config, rotary.part, attention);
  extra(attention, config);
  config.pattern.front() = {windowed(attention, 0), Backbone::transformer, json.whole("intermediate_size")};
  return config;
}

inline ModelConfig read_attention(const ConfigJson& json, const ClassDefaults& defaults = {}) {
  return read_attention(json, defaults, [](AttentionConfig&, const ModelConfig&) {});
}

/// The same window for all blocks.
inline void set_window(ModelConfig& config, Index window) {
  for (BlockDescription& block : config.pattern) block.layer = windowed(attention_of(block), window);
}

/// Blocks of their own, the first like block 0 but for what `change(attention, block)` does.
template <class Change>
void change_blocks(ModelConfig& config, Change&& change) {
  std::vector<BlockDescription> blocks(static_cast<std::size_t>(config.depth), config.pattern.front());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    AttentionConfig attention = attention_of(blocks[i]);
    change(attention, i);
    blocks[i].layer = windowed(attention, attention.window);
  }
  config.set_blocks(std::move(blocks));
}

inline void write_heads(const ModelConfig& config, const AttentionConfig& attention, nlohmann::json& json) {
  json["num_attention_heads"] = attention.heads;
  json["num_key_value_heads"] = attention.key_value_count();
  json["head_dim"] = head_width(config, attention);
}

inline void write_attention(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  const BlockDescription& block = config.pattern.front();
  const AttentionConfig& attention = attention_of(block);
  json["intermediate_size"] = block.hidden;
  write_heads(config, attention, json);
  json["attention_bias"] = json["mlp_bias"] = false;
  write_rotary(attention.rope_theta, attention.rotary_scaling, json);
  if (!json.contains("layer_types") && has_one_window(config)) return;
  json["layer_types"] = nlohmann::json::array();
  for (Index i = 0; i < config.depth; ++i)
    json["layer_types"].push_back(attention_of(config.block(i)).window == 0 ? "full_attention" : "sliding_attention");
}

inline void write_attention_defaults(nlohmann::json& json) {
  write_common_defaults(json);
  json["attention_dropout"] = 0.0;
  json["use_cache"] = true;
}

inline void check_block_count(const ConfigJson& json, const ModelConfig& config, const char* key) {
  if (config.depth > most_blocks) json.fail(key, "a list, with so many blocks");
}

/// The names of the parts of a block.
inline std::string attention_tensor_name(std::string_view name) {
  return replaced(std::string(name), {{".seq_modeling_block.", ".self_attn."},
                                      {".seq_norm.", ".input_layernorm."},
                                      {".ffn_norm.", ".post_attention_layernorm."}});
}

/// Older files carry the frequencies of the rotary embedding, which follow from rope_theta.
inline bool is_rotary_table(std::string_view name) { return name.ends_with(".self_attn.rotary_emb.inv_freq"); }

}  // namespace loaders::detail

TTT_NAMESPACE_END
