// SPDX-License-Identifier: MIT
/// @file
/// A model of each kind that is saved and loaded in no time.
#pragma once

#include <cstdint>
#include <string_view>

#include "support/compiled_loaders.hpp"
#include "support/tiny_config.hpp"
#include "ttt/models/loaders/model_folder.hpp"

namespace ttt::testing {

using Parameters = ParameterStore<LoadedModel<float>::Model::Parameters>;

inline ModelConfig tiny(std::string_view layer = "ttt-linear", Backbone backbone = Backbone::transformer) {
  return tiny_config(layer, backbone);
}

inline Parameters parameters_of(const ModelConfig& config, std::uint64_t seed = 1) {
  Parameters parameters(make_model<float>(config).make_parameters());
  initialize(parameters.views(), seed);
  return parameters;
}

}  // namespace ttt::testing
