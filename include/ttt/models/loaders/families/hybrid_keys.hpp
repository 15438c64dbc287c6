// SPDX-License-Identifier: MIT
/// @file
/// What the kinds of models share that have attention in some blocks, and another layer in the others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/models/loaders/families/attention_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

/// For each block whether the list of numbers names it.
inline std::vector<bool> read_block_list(const ConfigJson& json, const ModelConfig& config, const char* key) {
  if (config.depth > most_blocks) json.fail(key, "a list of fewer, with so many blocks");
  std::vector<bool> blocks(static_cast<std::size_t>(config.depth));
  if (!json.json()[key].is_array()) json.fail(key, "a list");
  for (const auto& each : json.json()[key]) {
    if (!each.is_number_unsigned() || each.get<std::uint64_t>() >= blocks.size())
      json.fail(key, "blocks from 0 to " + std::to_string(config.depth - 1));
    blocks[each.get<std::size_t>()] = true;
  }
  return blocks;
}

inline constexpr std::string_view layer_part = ".seq_modeling_block.";

/// Whether a tensor is one of attention, in a model that has other layers, too: projections of queries, keys, values
/// and output, and norms of the first two.
inline bool is_of_attention(std::string_view name) {
  const std::size_t place = name.find(layer_part);
  const std::string_view rest = place == name.npos ? "" : name.substr(place + layer_part.size());
  return rest.size() > 1 && rest[1] == '_' && std::string_view("qkvo").find(rest[0]) != rest.npos;
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
