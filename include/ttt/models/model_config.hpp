// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/layers/layer_description.hpp"
#include "ttt/models/causal_lm.hpp"
#include "ttt/models/parallel.hpp"

TTT_NAMESPACE_BEGIN

/// What a block wraps around its layer.
enum class Backbone {
  transformer,  ///< norm, layer, norm, SwiGLU
  mamba         ///< the same behind a temporal convolution
};
inline constexpr std::array<std::string_view, 2> names_of(Backbone) { return {"transformer", "mamba"}; }

/// One block of a model by names and numbers.
struct BlockDescription {
  LayerDescription layer = {};
  Backbone backbone = Backbone::transformer;
  Index hidden = 336;   ///< of the SwiGLU; 0: there is none
  Index conv_taps = 4;  ///< of the temporal convolution
  NormPlacement norms = NormPlacement::before;
  kernels::Activation activation = kernels::Activation::silu;  ///< of the SwiGLU
  std::vector<LayerDescription> beside = {};  ///< layers that read the same, their gated sum being what is said

  /// "attention", or "attention+mamba2".
  std::string layers() const {
    std::string names = layer.name();
    for (const LayerDescription& other : beside) names += "+" + other.name();
    return names;
  }
  /// The same with the options that are not as usual: "attention:window=64+mamba2".
  std::string text() const {
    std::string words = layer.text();
    for (const LayerDescription& other : beside) words += "+" + other.text();
    return words;
  }
  /// The layer, or the layers side by side. Throws Error for options that make none.
  template <class Scalar>
  AnySequenceLayer<Scalar> make_layer(Index width) const {
    if (beside.empty()) return layer.template make<Scalar>(width);
    std::vector<AnySequenceLayer<Scalar>> all{layer.template make<Scalar>(width)};
    for (const LayerDescription& other : beside) all.push_back(other.template make<Scalar>(width));
    return AnySequenceLayer<Scalar>(Parallel<Scalar>(std::move(all)));
  }

  friend bool operator==(const BlockDescription&, const BlockDescription&) = default;
};

/// A causal language model by names and numbers, as a command line or a model folder describes it.
struct ModelConfig {
  Index vocabulary = 256;
  Index width = 128;
  Index depth = 4;              ///< number of blocks
  bool tied = true;             ///< the head shares the embedding
  double norm_epsilon = 1e-6;   ///< of the norms between the layers
  bool one_plus_norms = false;  ///< they are times 1 + weight
  double embedding_scale = 1;   ///< what the rows of the embedding are times
  double residual_scale = 1;    ///< what the layers of a block say is times
  double logit_scale = 1;       ///< what the logits are times
  /// Block b is entry b modulo their number: one entry for blocks that are alike, several for a hybrid.
  std::vector<BlockDescription> pattern{BlockDescription{}};

  const BlockDescription& block(Index index) const { return pattern[static_cast<std::size_t>(index) % pattern.size()]; }
  /// Whether `holds(block)` of every block.
  template <class Predicate>
  bool every_block(Predicate&& holds) const {
    return std::all_of(pattern.begin(), pattern.end(), holds);
  }
  /// "attention", "sliding-window,ttt-linear,attention+mamba2": the layers of the pattern.
  std::string layers() const {
    std::string names;
    for (const BlockDescription& block : pattern) names += (names.empty() ? "" : ",") + block.layers();
    return names;
  }
  /// Makes the shortest pattern of which the blocks are those of `blocks`, over and over.
  void set_pattern(std::vector<BlockDescription> blocks);
  /// The same of a model with exactly these blocks.
  void set_blocks(std::vector<BlockDescription> blocks) {
    depth = static_cast<Index>(blocks.size());
    set_pattern(std::move(blocks));
  }

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

inline void ModelConfig::set_pattern(std::vector<BlockDescription> blocks) {
  const std::size_t size = blocks.size(), seen = std::min(static_cast<std::size_t>(depth), 2 * size);
  std::size_t period = 1;
  const auto repeats = [&] {
    for (std::size_t i = period; i < seen; ++i)
      if (!(blocks[i % size] == blocks[(i - period) % size])) return false;
    return true;
  };
  while (period < size && !repeats()) ++period;
  blocks.resize(std::min(period, size));
  pattern = std::move(blocks);
}

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

/// The size of that name. Throws Error for an unknown one.
inline const PublishedSize& published_size(std::string_view name) {
  std::string known;
  for (const PublishedSize& size : published_sizes) {
    if (size.name == name) return size;
    known += (known.empty() ? "" : ", ") + std::string(size.name);
  }
  throw_unexpected("size of the model", "one of " + known, "'" + std::string(name) + "'");
}

/// The block of the published models around a layer: in the mamba backbone TTT layers have an output gate and one
/// projection for queries and keys.
inline BlockDescription published_block(LayerDescription layer, Backbone backbone, Index hidden) {
  if (TttConfig* ttt = layer.find<TttConfig>()) ttt->gate = ttt->share_query_key = backbone == Backbone::mamba;
  return {std::move(layer), backbone, hidden};
}

/// The model of `config`. Throws Error, naming the option, for one that makes none.
template <class Scalar>
CausalLm<Scalar> make_model(const ModelConfig& config) {
  domain::size("depth", config.depth);
  domain::size("blocks of the pattern", static_cast<Index>(config.pattern.size()));
  std::vector<AnySequenceLayer<Scalar>> layers;  // equal blocks share what their layers keep
  for (const BlockDescription& block : config.pattern)
    layers.push_back(block.template make_layer<Scalar>(config.width));
  std::vector<StackLayer<Scalar>> stack;
  for (Index i = 0; i < config.depth; ++i) {
    const BlockDescription& block = config.block(i);
    if (block.hidden != 0) domain::size("hidden width of the MLP", block.hidden);
    append_block(stack,
                 {config.width, block.hidden, block.backbone == Backbone::mamba, block.conv_taps, config.norm_epsilon,
                  block.norms, config.one_plus_norms, block.activation, config.residual_scale},
                 layers[static_cast<std::size_t>(i) % layers.size()]);
  }
  return {{.vocabulary = config.vocabulary,
           .width = config.width,
           .tied = config.tied,
           .norm_epsilon = config.norm_epsilon,
           .one_plus_norm = config.one_plus_norms,
           .embedding_scale = config.embedding_scale,
           .logit_scale = config.logit_scale},
          Stack<Scalar>(std::move(stack))};
}

TTT_NAMESPACE_END
