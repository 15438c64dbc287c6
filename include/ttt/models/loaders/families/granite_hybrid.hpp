// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "ttt/models/loaders/families/granite.hpp"
#include "ttt/models/loaders/families/mamba2_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// For each block whether it is attention: layer_types, in either spelling.
inline std::vector<bool> read_granite_blocks(const ConfigJson& json, const ModelConfig& config) {
  std::vector<bool> attends;
  for (const auto& each : json.list("layer_types", config.depth)) {
    attends.push_back(each == "attention" || each == "full_attention");
    if (!attends.back() && each != "mamba" && each != "linear_attention")
      json.fail("layer_types", "attention or mamba for every block");
  }
  return attends;
}

inline ModelConfig read_granite_hybrid(const ConfigJson& json) {
  if (json.whole_or("num_local_experts", 8, 0) != 0) json.fail("num_local_experts", "0, as experts are not supported");
  ModelConfig config = read_common(json);
  refuse_biases(json);
  read_scales(json, config);
  AttentionConfig attention;
  read_heads(json, config.width, attention, {});
  attention.score_scale = json.positive_or("attention_multiplier", 1);
  const std::string positions = json.text_or("position_embedding_type", "nope");
  attention.rotary = positions == "rope";
  if (!attention.rotary && positions != "nope") json.fail("position_embedding_type", "\"rope\" or \"nope\"");
  const Rotary rotary = read_rotary(json, 10000);
  if (attention.rotary) attention.rope_theta = rotary.theta, attention.rotary_scaling = rotary.scaling;
  set_hybrid(json, config, read_granite_blocks(json, config), attention,
             json.whole_or("shared_intermediate_size", 1024));
  return config;
}

/// A model that has blocks of one kind only is written with no keys for the other.
inline void write_granite_hybrid(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  write_scales(config, json);
  json["num_local_experts"] = 0;
  json["attention_bias"] = json["mlp_bias"] = false;
  json["shared_intermediate_size"] = config.pattern.front().hidden;
  json["layer_types"] = nlohmann::json::array();
  for (Index i = 0; i < config.depth; ++i) {
    const LayerDescription& layer = config.block(i).layer;
    const auto* attention = layer.find<AttentionConfig>();
    json["layer_types"].push_back(attention ? "attention" : "mamba");
    if (!attention) {
      write_mixer(config, *layer.find<Mamba2Config>(), json);
      continue;
    }
    write_heads(config, *attention, json);
    write_rotary(attention->rope_theta, attention->rotary_scaling, json);
    json["attention_multiplier"] = attention->score_scale;
    json["position_embedding_type"] = attention->rotary ? "rope" : "nope";
  }
}

inline std::string granite_hybrid_tensor_name(std::string_view name) {
  return replaced(
      hybrid_tensor_name(name),
      {{".ffn_norm.", ".post_attention_layernorm."}, {".mlp.", ".shared_mlp."}, {".down_proj.", ".output_linear."}});
}

/// The two projections into the SwiGLU in one tensor of each block.
inline std::vector<FusedTensor> granite_hybrid_tensors(const ModelConfig& config) {
  const Index hidden = config.pattern.front().hidden;
  std::vector<FusedTensor> tensors;
  for (Index i = 0; i < config.depth; ++i) {
    const std::string mlp = "model.layers." + std::to_string(i) + ".shared_mlp.";
    tensors.push_back(
        {mlp + "input_linear.weight", {{mlp + "gate_proj.weight", hidden}, {mlp + "up_proj.weight", hidden}}});
  }
  return tensors;
}

}  // namespace detail

/// Granite 4 without experts, as `GraniteMoeHybridForCausalLM` of Hugging Face transformers has it: Mamba-2 in most
/// blocks, or attention in all. Written, the latter is a granite, which has the same numbers.
inline constexpr Family granite_hybrid_family{"granitemoehybrid",          nullptr,
                                              detail::read_granite_hybrid, detail::write_granite_hybrid,
                                              [](nlohmann::json&) {},      detail::granite_hybrid_tensor_name,
                                              detail::nothing_derived,     detail::granite_hybrid_tensors};

}  // namespace loaders

TTT_NAMESPACE_END
