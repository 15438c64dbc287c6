// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "ttt/models/loaders/config_json.hpp"
#include "ttt/models/model_config.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// A kind of model folder: how its config.json and the names of its tensors correspond to ours. A new kind is a header
/// with one of these and its place in families.hpp.
struct Family {
  std::string_view model_type;
  /// Whether folders of this kind can hold the model; the first family that can is the one written.
  bool (*holds)(const ModelConfig& config);
  /// Throws Error naming file and key for what the kind allows and this library does not have.
  ModelConfig (*read)(const ConfigJson& json);
  /// Sets every key that follows from the model.
  void (*write)(const ModelConfig& config, nlohmann::json& json);
  /// Sets what readers of the kind want to be told besides, in a folder that had no config.json before.
  void (*write_defaults)(nlohmann::json& json);
  /// The published name of the parameter that `visit` calls `name`.
  std::string (*tensor_name)(std::string_view name);
  /// Whether files of the kind may hold a tensor of that name that says nothing new.
  bool (*is_derived)(std::string_view name);
};

namespace detail {

inline std::string same_name(std::string_view name) { return std::string(name); }
inline bool nothing_derived(std::string_view) { return false; }

/// Throws unless `heads` divide the width into heads of even width, as rotary embedding needs.
inline void check_heads(const ConfigJson& json, const ModelConfig& config) {
  if (config.width % config.heads != 0)
    json.fail("hidden_size", "a multiple of num_attention_heads = " + std::to_string(config.heads));
  if (config.width / config.heads % 2 != 0)
    json.fail("hidden_size", "an even head width hidden_size / num_attention_heads for the rotary embedding",
              std::to_string(config.width / config.heads));
}

/// The base of the rotary embedding; a scaling of it is refused. Newer Python classes keep both in `rope_parameters`.
inline double read_rope_theta(const ConfigJson& json) {
  if (json.has("rope_scaling")) json.fail("rope_scaling", "null, as scaled rotary embeddings are not supported");
  const double theta = json.positive_or("rope_theta", 10000);
  if (!json.has("rope_parameters")) return theta;
  const ConfigJson parameters = json.object("rope_parameters");
  if (parameters.text_or("rope_type", "default") != "default") parameters.fail("rope_type", "\"default\"");
  const double inner = parameters.positive_or("rope_theta", theta);
  if (json.has("rope_theta") && inner != theta) parameters.fail("rope_theta", "the rope_theta beside it");
  return inner;
}

/// The keys that all kinds share. `tied` is what a missing tie_word_embeddings means.
inline ModelConfig read_common(const ConfigJson& json, bool tied) {
  ModelConfig config;
  config.vocabulary = json.whole("vocab_size");
  config.width = json.whole("hidden_size");
  config.hidden = json.whole("intermediate_size");
  config.depth = json.whole("num_hidden_layers");
  config.heads = json.whole("num_attention_heads");
  config.norm_epsilon = json.positive_or("rms_norm_eps", 1e-6);
  config.rope_theta = read_rope_theta(json);
  config.tied = json.flag_or("tie_word_embeddings", tied);
  if (json.text_or("hidden_act", "silu") != "silu") json.fail("hidden_act", "\"silu\"");
  if (json.has("quantization_config"))
    json.fail("quantization_config", "null, as quantised weights are not supported", "one");
  check_heads(json, config);
  return config;
}

inline void write_common(const ModelConfig& config, nlohmann::json& json) {
  json["vocab_size"] = config.vocabulary;
  json["hidden_size"] = config.width;
  json["intermediate_size"] = config.hidden;
  json["num_hidden_layers"] = config.depth;
  json["num_attention_heads"] = config.heads;
  json["rms_norm_eps"] = config.norm_epsilon;
  json["rope_theta"] = config.rope_theta;
  json["tie_word_embeddings"] = config.tied;
  json["hidden_act"] = "silu";
}

inline void write_common_defaults(nlohmann::json& json) {
  json["initializer_range"] = parameter::projection.scale;
  // Bytes have no special tokens: the defaults of the Python classes would end a generated text at byte 2.
  json["bos_token_id"] = json["eos_token_id"] = json["pad_token_id"] = nullptr;
}

/// What llama and mistral have in common besides: grouped heads, no biases, heads that fill the width.
inline ModelConfig read_attention(const ConfigJson& json, Index default_key_value_heads) {
  ModelConfig config = read_common(json, false);
  config.layer = "attention";
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (json.flag_or(key, false)) json.fail(key, "false, as biases of projections are not supported");
  const Index groups =
      json.whole_or("num_key_value_heads", default_key_value_heads > 0 ? default_key_value_heads : config.heads);
  if (config.heads % groups != 0)
    json.fail("num_key_value_heads", "a divisor of num_attention_heads = " + std::to_string(config.heads),
              std::to_string(groups));
  config.key_value_heads = groups == config.heads ? 0 : groups;
  if (const Index width = config.width / config.heads; json.whole_or("head_dim", width) != width)
    json.fail("head_dim", "hidden_size / num_attention_heads = " + std::to_string(width));
  if (json.positive_or("partial_rotary_factor", 1) != 1)
    json.fail("partial_rotary_factor", "1, as the rotary embedding turns whole heads");
  return config;
}

inline void write_attention(const ModelConfig& config, nlohmann::json& json) {
  write_common(config, json);
  json["num_key_value_heads"] = config.key_value_heads == 0 ? config.heads : config.key_value_heads;
}

inline void write_attention_defaults(nlohmann::json& json) {
  write_common_defaults(json);
  json["attention_dropout"] = 0.0;
  json["use_cache"] = true;
}

/// The names llama and mistral have for the parts of a block.
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

}  // namespace detail

}  // namespace loaders

TTT_NAMESPACE_END
