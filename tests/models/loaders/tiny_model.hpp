// SPDX-License-Identifier: MIT
/// @file
/// A model of each kind that is saved and loaded in no time.
#pragma once

#include <cstdint>
#include <string>

#include "support/compiled_loaders.hpp"
#include "ttt/models/loaders/model_folder.hpp"

namespace ttt::testing {

using Parameters = ParameterStore<LoadedModel<float>::Model::Parameters>;

inline ModelConfig tiny(const std::string& layer = "ttt-linear", Backbone backbone = Backbone::transformer) {
  ModelConfig config;
  config.layer = layer;
  config.backbone = backbone;
  config.vocabulary = 11;
  config.width = 12;
  config.hidden = 10;
  config.depth = 2;
  config.heads = 3;
  if (layer == "sliding-window") config.window = 7;
  if (!is_ttt(config)) return config;
  config.mini_batch = 5;
  return published(config);
}

inline Parameters parameters_of(const ModelConfig& config, std::uint64_t seed = 1) {
  Parameters parameters(make_model<float>(config).make_parameters());
  initialize(parameters.views(), seed);
  return parameters;
}

}  // namespace ttt::testing
