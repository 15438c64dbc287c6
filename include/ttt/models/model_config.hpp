// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/attention.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"
#include "ttt/models/causal_lm.hpp"

TTT_NAMESPACE_BEGIN

/// What a block wraps around its layer.
enum class Backbone {
  transformer,  ///< norm, layer, norm, SwiGLU
  mamba         ///< the same behind a temporal convolution; TTT layers with gate and shared query/key
};

/// What attention has besides its sizes; nothing of it is for TTT layers.
struct AttentionOptions {
  Index head_channels = 0;        ///< D; 0 means width / heads
  bool bias = false;              ///< of queries, keys and values
  bool query_key_norm = false;    ///< per head, with the model's norm_epsilon
  std::vector<bool> rotary = {};  ///< block by block; empty: all
  kernels::RotaryScaling rotary_scaling = {};

  friend bool operator==(const AttentionOptions&, const AttentionOptions&) = default;
};

/// A causal language model by names and numbers, as a command line or a model folder describes it.
struct ModelConfig {
  std::string layer = "ttt-linear";  ///< one of `layer_names`
  Backbone backbone = Backbone::transformer;
  Index vocabulary = 256;
  Index width = 128;
  Index hidden = 336;  ///< of each SwiGLU
  Index depth = 4;     ///< number of blocks
  Index heads = 4;
  Index key_value_heads = 0;  ///< attention only; 0: as many as heads
  Index mini_batch = 16;      ///< TTT only
  Index window = 0;           ///< sliding-window only
  Index conv_taps = 4;
  bool tied = true;               ///< the head shares the embedding
  double base_learning_rate = 1;  ///< of the inner loop
  double rope_theta = 10000;
  double norm_epsilon = 1e-6;
  /// The published backbones differ in these too; they follow the backbone unless a folder says so.
  bool gate = false;
  bool share_query_key = false;
  AttentionOptions attention = {};

  /// Of a head of attention.
  Index head_width() const { return attention.head_channels == 0 ? width / heads : attention.head_channels; }

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// A size of the published TTT models, by its name there. Source: TTT_STANDARD_CONFIGS of ttt-lm-pytorch and CONFIGS of
/// ttt-lm-jax, which agree (and have a vocabulary of 32,000).
struct PublishedSize {
  std::string_view name;
  Index width, hidden, depth, heads;
};
inline constexpr std::array<PublishedSize, 4> published_sizes{{{"125m", 768, 2048, 12, 12},
                                                               {"350m", 1024, 2736, 24, 16},
                                                               {"760m", 1536, 4096, 24, 16},
                                                               {"1b", 2048, 5504, 24, 32}}};

/// Layers by the names that configurations use.
inline constexpr std::array<std::string_view, 4> layer_names{"ttt-linear", "ttt-mlp", "attention", "sliding-window"};

/// "ttt-linear, ttt-mlp, …", for messages.
inline std::string known_layers() {
  std::string known;
  for (const auto name : layer_names) known += (known.empty() ? "" : ", ") + std::string(name);
  return known;
}

inline bool is_ttt(const ModelConfig& config) { return config.layer == "ttt-linear" || config.layer == "ttt-mlp"; }

/// Sets what follows from layer and backbone in the published models: gate, shared query/key and the inner base rate.
inline ModelConfig published(ModelConfig config) {
  config.gate = config.share_query_key = is_ttt(config) && config.backbone == Backbone::mamba;
  config.base_learning_rate = config.layer == "ttt-mlp" ? rules::TttMlp<float>::base_learning_rate
                                                        : rules::TttLinear<float>::base_learning_rate;
  return config;
}

/// Sets width, hidden width, depth and heads to those of a published size. Throws Error for an unknown name.
inline ModelConfig with_published_size(ModelConfig config, std::string_view name) {
  std::string known;
  for (const PublishedSize& size : published_sizes) {
    if (size.name == name) {
      config.width = size.width, config.hidden = size.hidden, config.depth = size.depth, config.heads = size.heads;
      return config;
    }
    known += (known.empty() ? "" : ", ") + std::string(size.name);
  }
  throw_unexpected("size of the model", "one of " + known, "'" + std::string(name) + "'");
}

inline TttConfig ttt_config(const ModelConfig& config) {
  TttConfig ttt;
  ttt.width = config.width;
  ttt.heads = config.heads;
  ttt.mini_batch = config.mini_batch;
  ttt.base_learning_rate = config.base_learning_rate;
  ttt.rope_theta = config.rope_theta;
  ttt.gate = config.gate;
  ttt.share_query_key = config.share_query_key;
  ttt.conv_taps = config.conv_taps;
  return ttt;
}

/// The attention of blocks with the rotary embedding, or of those without.
inline AttentionConfig attention_config(const ModelConfig& config, bool rotary = true) {
  const AttentionOptions& options = config.attention;
  AttentionConfig attention;
  attention.width = config.width;
  attention.heads = config.heads;
  attention.key_value_heads = config.key_value_heads;
  attention.rope_theta = config.rope_theta;
  if (config.layer == "sliding-window") attention.window = config.window, attention.memory = AttentionMemory::ring;
  attention.head_channels = options.head_channels;
  attention.bias = options.bias;
  attention.query_key_norm = options.query_key_norm;
  attention.norm_epsilon = config.norm_epsilon;
  attention.rotary = rotary;
  attention.rotary_scaling = options.rotary_scaling;
  return attention;
}

/// The layer that `config` names, in blocks with the rotary embedding or in those without. Throws Error for an unknown
/// name and for sizes and options that make no layer.
template <class Scalar>
AnySequenceLayer<Scalar> make_layer(const ModelConfig& config, bool rotary = true) {
  if (is_ttt(config) && config.attention != AttentionOptions{})
    throw_unexpected("layer " + config.layer, "no options of attention", "some");
  if (config.layer == "ttt-linear") return AnySequenceLayer<Scalar>(TttLinear<Scalar>(ttt_config(config)));
  if (config.layer == "ttt-mlp") return AnySequenceLayer<Scalar>(TttMlp<Scalar>(ttt_config(config)));
  if (config.layer == "attention" || config.layer == "sliding-window")
    return AnySequenceLayer<Scalar>(Attention<Scalar>(attention_config(config, rotary)));
  throw_unexpected("layer", "one of " + known_layers(), "'" + config.layer + "'");
}

/// The layers of all blocks; those that are alike share what they keep.
template <class Scalar>
std::vector<AnySequenceLayer<Scalar>> make_layers(const ModelConfig& config) {
  const auto depth = static_cast<std::size_t>(config.depth);
  const std::vector<bool>& rotary = config.attention.rotary;
  std::vector<AnySequenceLayer<Scalar>> layers(depth, make_layer<Scalar>(config));
  if (rotary.empty()) return layers;
  if (rotary.size() != depth)
    throw_unexpected("attention option rotary", "one entry for each of the " + std::to_string(depth) + " blocks",
                     std::to_string(rotary.size()));
  const auto without = make_layer<Scalar>(config, false);
  for (std::size_t block = 0; block < depth; ++block)
    if (!rotary[block]) layers[block] = without;
  return layers;
}

/// The model of `config`.
template <class Scalar>
CausalLm<Scalar> make_model(const ModelConfig& config) {
  domain::size("depth", config.depth);
  CausalLmConfig model;
  model.vocabulary = config.vocabulary;
  model.width = config.width;
  model.hidden = config.hidden;
  model.tied = config.tied;
  model.temporal_conv = config.backbone == Backbone::mamba;
  model.conv_taps = config.conv_taps;
  model.norm_epsilon = config.norm_epsilon;
  return CausalLm<Scalar>(model, make_layers<Scalar>(config));
}

TTT_NAMESPACE_END
