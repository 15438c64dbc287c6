// SPDX-License-Identifier: MIT
/// @file
/// What the tests of recurrent layers share beside the suite: what a layer says of itself.
#pragma once

#include <functional>
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

/// The suite for a layer that has forms for few and for many tokens, beside its formula(config, …) in plain loops.
template <class Layer, class Formula>
void check_with_formula(const typename Layer::Config& config, Index mini_batch, Formula&& formula) {
  suites::check_sequence_layer(
      Layer(config),
      {.mini_batch = mini_batch, .one_form = false, .spread = 0.3, .formula = std::bind_front(formula, config)});
}

/// What is said of `config` when `change` has changed it.
template <class Layer, class Change>
std::string refusal(typename Layer::Config config, Change&& change) {
  change(config);
  return testing::error_message([&] { Layer{config}; });
}

}  // namespace ttt::recurrent_tests
