// SPDX-License-Identifier: MIT
/// @file
/// What the tests of recurrent layers share beside the suite: what a layer says of itself.
#pragma once

#include <string>
#include <vector>

#include "layers/formula_parts.hpp"
#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"

namespace ttt::recurrent_tests {

/// The names of the parameters of a layer, in order.
template <class Layer>
std::vector<std::string> names_of(const Layer& layer) {
  auto parameters = layer.make_parameters();
  std::vector<std::string> names;
  parameters.visit([&](std::string_view name, auto&, const ParameterInfo&) { names.emplace_back(name); });
  return names;
}

/// What is said of `config` when `change` has changed it.
template <class Layer, class Change>
std::string refusal(typename Layer::Config config, Change&& change) {
  change(config);
  return testing::error_message([&] { Layer{config}; });
}

}  // namespace ttt::recurrent_tests
