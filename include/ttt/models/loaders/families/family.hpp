// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/safetensors_set.hpp"
#include "ttt/models/loaders/families/rotary_keys.hpp"
#include "ttt/models/model_config.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// A tensor of files whose rows are those of several parameters, one after another; all by their published names.
struct FusedTensor {
  std::string whole;
  std::vector<io::TensorRows> parts;
  std::vector<io::GatheredRows> gathered = {};  ///< instead of parts, where rows of several take turns
};

/// A kind of model folder: how its config.json and the names of its tensors correspond to ours. A new kind is a header
/// with one of these and its place in families.hpp.
struct Family {
  std::string_view model_type;
  /// Whether folders of this kind can hold the model; the first family that can is the one written. Null: the kind is
  /// read and not written.
  bool (*can_hold)(const ModelConfig& config);
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
  /// What files of the kind keep in one; null: nothing. Such a kind is not written.
  std::vector<FusedTensor> (*fused)(const ModelConfig& config) = nullptr;

  bool holds(const ModelConfig& config) const { return can_hold && can_hold(config); }
};

namespace detail {

/// Blocks of which each may be of its own are bounded: a number in a file alone cannot ask for memory.
inline constexpr Index most_blocks = 4096;

inline std::string same_name(std::string_view name) { return std::string(name); }

/// The name with the first of each of these parts replaced, where it is there.
inline std::string replaced(std::string name,
                            std::initializer_list<std::pair<std::string_view, std::string_view>> parts) {
  for (const auto& [ours, theirs] : parts)
    if (const auto place = name.find(ours); place != name.npos) name.replace(place, ours.size(), theirs);
  return name;
}

inline bool nothing_derived(std::string_view) { return false; }

/// What keys that are missing mean to the Python class of a kind.
struct ClassDefaults {
  Index key_value_heads = 0;  ///< 0: as many as heads, which null means to all of them
  Index head_dim = 0;         ///< 0: hidden_size / num_attention_heads
  double rope_theta = 10000;
  double norm_epsilon = 1e-6;
  bool tied = false;
  bool partial_rotary = false;  ///< it looks at partial_rotary_factor
};

/// Whether activation and embedding are what those of the llama family are, and norms, too, or behind the layers.
inline bool has_plain_frame(const ModelConfig& config, NormPlacement norms = NormPlacement::before) {
  return !config.one_plus_norms && config.embedding_scale == 1 && config.residual_scale == 1 &&
         config.logit_scale == 1 && config.every_block([&](const BlockDescription& block) {
           return block.norms == norms && block.activation == kernels::Activation::silu && block.beside.empty();
         });
}

/// Whether `check` throws no Error.
template <class Check>
bool is_sound(Check&& check) try {
  check();
  return true;
} catch (const Error&) {
  return false;
}

/// Whether what `write` says of a model with one or two kinds of layers is read as the same model.
template <class... Configs>
bool comes_back(const ModelConfig& config, void (*write)(const ModelConfig&, nlohmann::json&),
                ModelConfig (*read)(const ConfigJson&)) try {
  const auto has_key_for = [](const BlockDescription& block) { return (block.layer.find<Configs>() || ...); };
  if (config.depth > most_blocks || !config.every_block(has_key_for)) return false;
  nlohmann::json json;
  write(config, json);
  return read(ConfigJson(json.dump(), "config.json")) == config;
} catch (const Error&) {
  return false;
}

/// Throws unless `heads` divide the width into heads of even width, as rotary embedding needs.
inline void check_heads(const ConfigJson& json, Index width, Index heads) {
  if (width % heads != 0) json.fail("hidden_size", "a multiple of num_attention_heads = " + std::to_string(heads));
  if (width / heads % 2 != 0)
    json.fail("hidden_size", "an even head width hidden_size / num_attention_heads for the rotary embedding",
              std::to_string(width / heads));
}

/// The keys that all kinds share, of a model without layers yet.
inline ModelConfig read_common(const ConfigJson& json, const ClassDefaults& defaults = {}) {
  ModelConfig config;
  config.vocabulary = json.whole("vocab_size");
  config.width = json.whole("hidden_size");
  config.depth = json.whole("num_hidden_layers");
  config.norm_epsilon = json.positive_or("rms_norm_eps", defaults.norm_epsilon);
  config.tied = json.flag_or("tie_word_embeddings", defaults.tied);
  if (json.text_or("hidden_act", "silu") != "silu") json.fail("hidden_act", "\"silu\"");
  if (json.has("quantization_config"))
    json.fail("quantization_config", "null, as quantised weights are not supported", "one");
  return config;
}

inline void write_common(const ModelConfig& config, nlohmann::json& json) {
  json["vocab_size"] = config.vocabulary;
  json["hidden_size"] = config.width;
  json["num_hidden_layers"] = config.depth;
  json["rms_norm_eps"] = config.norm_epsilon;
  json["tie_word_embeddings"] = config.tied;
  json["hidden_act"] = "silu";
}

inline void write_common_defaults(nlohmann::json& json) {
  json["initializer_range"] = parameter::projection.scale;
  // Bytes have no special tokens: the defaults of the Python classes would end a generated text at byte 2.
  json["bos_token_id"] = json["eos_token_id"] = json["pad_token_id"] = nullptr;
}

}  // namespace detail

}  // namespace loaders

TTT_NAMESPACE_END
