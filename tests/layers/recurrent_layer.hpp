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

/// What all delta rules with grouped value heads refuse, by name; `grouped` has 2 heads.
template <class Layer>
void check_delta_refusals(const typename Layer::Config& grouped) {
  const std::string option = std::string(Layer::name) + " option ", least = ": expected at least 1, found ";
  const auto said = [&](auto change) { return refusal<Layer>(grouped, change); };
  CHECK(said([](auto&) {}) == "");
  CHECK(said([](auto& c) { c.value_heads = 3; }) ==
        option + "value_heads: expected a multiple of the 2 key heads, found 3");
  CHECK(said([](auto& c) { c.width = 0; }) == option + "width" + least + "0");
  CHECK(said([](auto& c) { c.heads = 0; }) == option + "heads" + least + "0");
  CHECK(said([](auto& c) { c.key_width = -1; }) == option + "key_width" + least + "-1");
  CHECK(said([](auto& c) { c.value_width = -1; }) == option + "value_width" + least + "-1");
  CHECK(said([](auto& c) { c.conv_taps = 0; }) == option + "conv_taps" + least + "0");
  CHECK(said([](auto& c) { c.norm_epsilon = 0; }).starts_with(option + "norm_epsilon: expected"));
}

}  // namespace ttt::recurrent_tests
