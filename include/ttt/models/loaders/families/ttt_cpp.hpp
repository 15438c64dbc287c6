// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "ttt/models/loaders/families/family.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// The option of that name, if it is there. Throws Error for one of another type.
template <class Value>
void read_option(const ConfigJson& json, const std::string& name, Value& value) {
  if (!json.has(name)) return;
  if constexpr (option_text::is_optional<Value>) {
    typename Value::value_type inner{};
    read_option(json, name, inner);
    value = inner;
  } else if constexpr (std::is_same_v<Value, option_text::List>) {
    value = json.numbers(name);
  } else if constexpr (std::is_enum_v<Value>) {
    if (!option_text::parse(json.text(name), value)) json.fail(name, option_text::expected<Value>());
  } else if constexpr (std::is_same_v<Value, bool>) {
    value = json.flag_or(name, value);
  } else if constexpr (std::is_same_v<Value, Index>) {
    value = json.whole(name, 0);
  } else {
    value = json.number(name);
  }
}

/// Infinity, which JSON does not have, is what such an option is without a key.
template <class Value>
nlohmann::json option_json(const Value& value) {
  if constexpr (option_text::is_optional<Value>)
    return value ? option_json(*value) : nlohmann::json();
  else if constexpr (std::is_enum_v<Value>)
    return option_text::text(value);
  else if constexpr (std::is_floating_point_v<Value>)
    return is_finite(value) ? nlohmann::json(value) : nlohmann::json();
  else
    return value;
}

/// Keys of a block that are no options of its layer.
inline const std::set<std::string> block_keys{"layer",      "backbone", "intermediate_size", "conv_kernel", "norms",
                                              "hidden_act", "beside"};

/// What is said in two ways is said in one: as many key/value heads, heads over the width, and no numbers of a rotary
/// scaling that is not there.
inline void simplify(AttentionConfig& attention, Index width) {
  if (attention.key_value_heads == attention.heads) attention.key_value_heads = 0;
  if (attention.head_channels * attention.heads == width) attention.head_channels = 0;
  const Scaling given = attention.rotary_scaling;
  Scaling& scaling = attention.rotary_scaling = {};
  scaling.kind = given.kind;
  if (given.kind != Scaling::Kind::none && given.kind != Scaling::Kind::longrope) scaling.factor = given.factor;
  if (given.has_turns()) {
    scaling.original_positions = given.original_positions;
    scaling.slow_turns = given.slow_turns, scaling.fast_turns = given.fast_turns;
  }
  if (given.kind == Scaling::Kind::yarn) scaling.magnitude = given.magnitude, scaling.whole_pairs = given.whole_pairs;
  if (given.kind == Scaling::Kind::longrope) {
    scaling.original_positions = given.original_positions;
    scaling.magnitude = given.magnitude, scaling.divisors = given.divisors;
  }
}

/// A layer, with `own` keys beside its options, every one of which must mean something.
inline LayerDescription read_layer(const ConfigJson& json, Index width, const std::set<std::string>& own) {
  const std::string name = json.text("layer");
  const auto& names = LayerKinds::names;
  if (std::find(names.begin(), names.end(), name) == names.end()) json.fail("layer", "one of " + LayerKinds::known());
  LayerDescription layer(name);
  layer.visit([&](const char* option, auto& value, const char*) { read_option(json, option, value); });
  for (const auto& [key, value] : json.json().items())
    if (!own.contains(key) && !layer.has(key)) json.fail(key, "no such key, as layer " + name + " has no such option");
  if (auto* attention = layer.find<AttentionConfig>()) simplify(*attention, width);
  return layer;
}

inline BlockDescription read_block(const ConfigJson& json, Index width) {
  BlockDescription block{read_layer(json, width, block_keys)};
  read_option(json, "backbone", block.backbone);
  block.hidden = json.whole("intermediate_size", 0);
  block.conv_taps = json.whole_or("conv_kernel", block.conv_taps);
  read_option(json, "norms", block.norms);
  read_option(json, "hidden_act", block.activation);
  if (!json.has("beside")) return block;
  for (const ConfigJson& other : json.objects("beside")) block.beside.push_back(read_layer(other, width, {"layer"}));
  return block;
}

inline nlohmann::json layer_json(LayerDescription layer) {
  nlohmann::json json{{"layer", layer.name()}};
  layer.visit([&](const char* option, const auto& value, const char*) { json[option] = option_json(value); });
  return json;
}

inline nlohmann::json block_json(const BlockDescription& block) {
  nlohmann::json json = layer_json(block.layer);
  json["backbone"] = option_text::text(block.backbone);
  json["intermediate_size"] = block.hidden;
  json["conv_kernel"] = block.conv_taps;
  json["norms"] = option_text::text(block.norms);
  json["hidden_act"] = option_text::text(block.activation);
  for (const LayerDescription& other : block.beside) json["beside"].push_back(layer_json(other));
  return json;
}

}  // namespace detail

/// Every model of this library, under its own names: `blocks` lists the pattern, each block with its layer and all
/// options of that. Keys that other kinds have too are called the same.
inline constexpr Family ttt_cpp_family{"ttt-cpp",
                                       [](const ModelConfig&) { return true; },
                                       [](const ConfigJson& json) {
                                         ModelConfig config = detail::read_common(json);
                                         config.one_plus_norms = json.flag_or("one_plus_norms", false);
                                         config.embedding_scale = json.positive_or("embedding_scale", 1);
                                         config.residual_scale = json.positive_or("residual_scale", 1);
                                         config.logit_scale = json.positive_or("logit_scale", 1);
                                         std::vector<BlockDescription> blocks;
                                         for (const ConfigJson& block : json.objects("blocks"))
                                           blocks.push_back(detail::read_block(block, config.width));
                                         config.set_pattern(std::move(blocks));
                                         return config;
                                       },
                                       [](const ModelConfig& config, nlohmann::json& json) {
                                         detail::write_common(config, json);
                                         json["one_plus_norms"] = config.one_plus_norms;
                                         json["embedding_scale"] = config.embedding_scale;
                                         json["residual_scale"] = config.residual_scale;
                                         json["logit_scale"] = config.logit_scale;
                                         json["blocks"] = nlohmann::json::array();
                                         for (const BlockDescription& block : config.pattern)
                                           json["blocks"].push_back(detail::block_json(block));
                                       },
                                       detail::write_common_defaults,
                                       detail::same_name,
                                       detail::nothing_derived};

}  // namespace loaders

TTT_NAMESPACE_END
