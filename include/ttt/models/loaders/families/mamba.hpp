// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "ttt/models/loaders/families/mamba2_keys.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

namespace detail {

/// The layer of the first block, which must be of that kind, with all its sizes. Throws Error for options that make
/// none.
template <class Config>
Config sized_layer(const ModelConfig& config) {
  return sized(*config.pattern.front().layer.find<Config>(), config.width);
}

/// Whether all blocks are that kind of layer behind a norm and nothing else, and alike.
template <class Config>
bool is_bare(const ModelConfig& config) {
  const BlockDescription& block = config.pattern.front();
  return config.pattern.size() == 1 && block.layer.find<Config>() && block.hidden == 0 &&
         block.backbone == Backbone::transformer && has_plain_frame(config) &&
         is_sound([&] { sized_layer<Config>(config); });
}

/// What both kinds have; the width of the inner layer must be `expand` times that of the model.
inline ModelConfig read_mamba_common(const ConfigJson& json, bool tied) {
  ModelConfig config;
  config.vocabulary = json.whole("vocab_size");
  config.width = json.whole("hidden_size");
  config.depth = json.whole("num_hidden_layers");
  config.norm_epsilon = json.positive_or("layer_norm_epsilon", 1e-5);
  config.tied = json.flag_or("tie_word_embeddings", tied);
  if (json.text_or("hidden_act", "silu") != "silu") json.fail("hidden_act", "\"silu\"");
  if (json.flag_or("use_bias", false)) json.fail("use_bias", "false, as biases of projections are not supported");
  if (!json.flag_or("use_conv_bias", true)) json.fail("use_conv_bias", "true");
  return config;
}

inline void write_mamba_common(const ModelConfig& config, nlohmann::json& json) {
  json["vocab_size"] = config.vocabulary;
  json["hidden_size"] = config.width;
  json["num_hidden_layers"] = config.depth;
  json["layer_norm_epsilon"] = config.norm_epsilon;
  json["tie_word_embeddings"] = config.tied;
  json["hidden_act"] = "silu";
  json["use_bias"] = false;
  json["use_conv_bias"] = true;
}

inline ModelConfig read_mamba(const ConfigJson& json) {
  ModelConfig config = read_mamba_common(json, true);
  MambaConfig mamba;
  const Index inner = json.whole_or("intermediate_size", json.whole_or("expand", 2) * config.width);
  mamba.inner_width = inner == 2 * config.width ? 0 : inner;
  mamba.state_width = json.whole_or("state_size", 16);
  if (json.has("time_step_rank") && json.json()["time_step_rank"] != "auto")
    mamba.step_rank = json.whole("time_step_rank");
  if (mamba.step_rank == (config.width + 15) / 16) mamba.step_rank = 0;
  mamba.conv_taps = json.whole_or("conv_kernel", 4);
  config.pattern = {{{kinds::Mamba::name, mamba}, Backbone::transformer, 0}};
  return config;
}

inline void write_mamba(const ModelConfig& config, nlohmann::json& json) {
  write_mamba_common(config, json);
  const MambaConfig mamba = sized_layer<MambaConfig>(config);
  json["intermediate_size"] = mamba.inner_width;
  json["expand"] = mamba.inner_width / config.width;
  json["state_size"] = mamba.state_width;
  json["time_step_rank"] = mamba.step_rank;
  json["conv_kernel"] = mamba.conv_taps;
}

inline ModelConfig read_mamba2(const ConfigJson& json) {
  ModelConfig config = read_mamba_common(json, false);
  Mamba2Config mamba;
  mamba.heads = json.whole_or("num_heads", 128);
  mamba.head_width = json.whole_or("head_dim", 64);
  if (mamba.inner_width() != json.whole_or("expand", 2) * config.width)
    json.fail("num_heads", "expand times hidden_size over head_dim = " + std::to_string(mamba.head_width));
  if (mamba.inner_width() == 2 * config.width) mamba.head_width = 0;
  mamba.groups = json.whole_or("n_groups", 8);
  mamba.state_width = json.whole_or("state_size", 128);
  mamba.conv_taps = json.whole_or("conv_kernel", 4);
  mamba.norm_epsilon = config.norm_epsilon;
  read_step_limits(json, mamba);
  config.pattern = {{{kinds::Mamba2::name, mamba}, Backbone::transformer, 0}};
  return config;
}

inline void write_mamba2(const ModelConfig& config, nlohmann::json& json) {
  write_mamba_common(config, json);
  const Mamba2Config mamba = sized_layer<Mamba2Config>(config);
  json["num_heads"] = mamba.heads;
  json["head_dim"] = mamba.head_width;
  json["expand"] = mamba.inner_width() / config.width;
  json["n_groups"] = mamba.groups;
  json["state_size"] = mamba.state_width;
  json["conv_kernel"] = mamba.conv_taps;
  write_step_limits(mamba, json);
}

/// With an inner width that is a multiple of the model's, which is `expand`.
inline bool is_mamba(const ModelConfig& config) {
  return is_bare<MambaConfig>(config) && sized_layer<MambaConfig>(config).inner_width % config.width == 0;
}
/// The same, and one epsilon for all norms.
inline bool is_mamba2(const ModelConfig& config) {
  if (!is_bare<Mamba2Config>(config)) return false;
  const Mamba2Config mamba = sized_layer<Mamba2Config>(config);
  return mamba.inner_width() % config.width == 0 && mamba.norm_epsilon == config.norm_epsilon;
}

inline std::string mamba_tensor_name(std::string_view name) {
  if (name == "model.embed_tokens.weight") return "backbone.embeddings.weight";
  if (name == "model.norm.weight") return "backbone.norm_f.weight";
  return replaced(
      std::string(name),
      {{"model.layers.", "backbone.layers."}, {".seq_modeling_block.", ".mixer."}, {".seq_norm.", ".norm."}});
}

inline void write_mamba_defaults(nlohmann::json& json, const char* architecture) {
  write_common_defaults(json);
  json["architectures"] = {architecture};
  json["residual_in_fp32"] = true;
  json["use_cache"] = true;
}

}  // namespace detail

/// Selective scans behind norms, as `MambaForCausalLM` of Hugging Face transformers reads and writes them.
inline constexpr Family mamba_family{
    "mamba",
    detail::is_mamba,
    detail::read_mamba,
    detail::write_mamba,
    [](nlohmann::json& json) { detail::write_mamba_defaults(json, "MambaForCausalLM"); },
    detail::mamba_tensor_name,
    detail::nothing_derived};

/// Mamba-2 behind norms, as `Mamba2ForCausalLM` of Hugging Face transformers reads and writes it.
inline constexpr Family mamba2_family{
    "mamba2",
    detail::is_mamba2,
    detail::read_mamba2,
    detail::write_mamba2,
    [](nlohmann::json& json) { detail::write_mamba_defaults(json, "Mamba2ForCausalLM"); },
    detail::mamba_tensor_name,
    detail::nothing_derived};

}  // namespace loaders

TTT_NAMESPACE_END
