// SPDX-License-Identifier: MIT
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ttt/models/loaders/families/qwen3_5.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// Qwen3-Next with an MLP in every block: no experts, or none in use.
inline ModelConfig read_qwen3_next(const ConfigJson& json) {
  const ModelConfig config = read_qwen3_5_text(json);
  const bool has_list = json.has("mlp_only_layers") && json.json()["mlp_only_layers"].is_array();
  std::set<Index> dense;
  if (has_list)
    for (const auto& block : json.json()["mlp_only_layers"])
      if (block.is_number_integer()) dense.insert(block.get<Index>());
  if (json.whole_or("num_experts", 512, 0) != 0 && static_cast<Index>(dense.size()) < config.depth)
    json.fail("mlp_only_layers", "every block, as experts are not supported");
  return config;
}

/// Rows of q | k | v | z, and of b | a, key head by key head.
inline void add_qwen3_next_tensors(const GatedDeltaNetConfig& layer, const std::string& prefix,
                                   std::vector<FusedTensor>& tensors) {
  const Index group = layer.value_heads / layer.heads, values = group * layer.value_width;
  const auto every_head = [&](Index step, Index first, Index count) {
    std::vector<io::GatheredRows::Range> ranges;
    for (Index head = 0; head < layer.heads; ++head) ranges.push_back({head * step + first, count});
    return ranges;
  };
  const Index step = 2 * layer.key_width + 2 * values;
  auto mixed = every_head(step, 0, layer.key_width);
  for (const auto& range : every_head(step, layer.key_width, layer.key_width)) mixed.push_back(range);
  for (const auto& range : every_head(step, 2 * layer.key_width, values)) mixed.push_back(range);
  tensors.push_back({prefix + "in_proj_qkvz.weight",
                     {},
                     {{prefix + "in_proj_qkv.weight", mixed},
                      {prefix + "in_proj_z.weight", every_head(step, 2 * layer.key_width + values, values)}}});
  tensors.push_back({prefix + "in_proj_ba.weight",
                     {},
                     {{prefix + "in_proj_b.weight", every_head(2 * group, 0, group)},
                      {prefix + "in_proj_a.weight", every_head(2 * group, group, group)}}});
}

inline std::vector<FusedTensor> qwen3_next_tensors(const ModelConfig& config) {
  std::vector<FusedTensor> tensors;
  for (Index i = 0; i < config.depth; ++i)
    if (const auto* layer = config.block(i).layer.find<GatedDeltaNetConfig>())
      add_qwen3_next_tensors(*layer, "model.layers." + std::to_string(i) + ".linear_attn.", tensors);
  return tensors;
}

}  // namespace detail

/// Qwen3-Next without experts, as `Qwen3NextForCausalLM` of Hugging Face transformers has it. Written it is a
/// qwen3_5_text, which has the same numbers.
inline constexpr Family qwen3_next_family{"qwen3_next",
                                          nullptr,
                                          detail::read_qwen3_next,
                                          detail::write_qwen3_5_text,
                                          [](nlohmann::json&) {},
                                          detail::qwen3_5_tensor_name,
                                          detail::is_draft,
                                          detail::qwen3_next_tensors};

}  // namespace loaders

TTT_NAMESPACE_END
