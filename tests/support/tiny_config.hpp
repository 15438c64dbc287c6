// SPDX-License-Identifier: MIT
/// @file
/// A configuration of each kind of layer whose model takes no time.
#pragma once

#include <string_view>

#include "ttt/models/model_config.hpp"

namespace ttt::testing {

/// Any layer, small; of width 12 and its multiples.
inline LayerDescription tiny_layer(std::string_view name) {
  LayerDescription layer(name);
  for (const auto& [option, words] :
       {std::pair{"heads", "3"}, {"mini_batch", "5"}, {"state_width", "4"}, {"chunk", "5"}, {"fast_heads", "2"}})
    if (layer.has(option)) layer.set(option, words);
  if (auto* attention = layer.find<AttentionConfig>(); attention && attention->window > 0) attention->window = 7;
  if (auto* lact = layer.find<LactConfig>()) lact->window = 7;
  return layer;
}

/// Two blocks with MLPs of 10 around the layer.
inline ModelConfig tiny_config(std::string_view layer, Backbone backbone = Backbone::transformer, Index width = 12) {
  ModelConfig config;
  config.vocabulary = 11;
  config.width = width;
  config.depth = 2;
  config.pattern = {published_block(tiny_layer(layer), backbone, 10)};
  return config;
}

/// The layer of the first block as what it is.
template <class Config>
Config& options_of(ModelConfig& config) {
  return *config.pattern.front().layer.template find<Config>();
}

}  // namespace ttt::testing
