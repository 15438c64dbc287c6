// SPDX-License-Identifier: MIT
/// @file
/// What the tests of recurrent layers share: their formulas in plain loops, and what a layer says of itself.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "ttt/nn/short_convolution.hpp"

namespace ttt::recurrent_tests {

inline double silu(double x) { return x / (1 + std::exp(-x)); }

/// x Wᵀ of one token.
inline std::vector<double> map(const Tensor<double>& weight, const double* x) {
  std::vector<double> y(static_cast<std::size_t>(weight.shape()[0]));
  for (std::size_t n = 0; n < y.size(); ++n)
    for (Index c = 0; c < weight.shape()[1]; ++c) y[n] += weight.panels()(c, static_cast<Index>(n)) * x[c];
  return y;
}

/// silu of the convolution of columns [first, first + C) at the last of `rows`.
inline std::vector<double> convolved(const nn::ShortConvolutionParameters<double>& conv,
                                     const std::vector<std::vector<double>>& rows, std::size_t first = 0) {
  std::vector<double> mixed(static_cast<std::size_t>(conv.width()));
  const auto t = static_cast<Index>(rows.size()) - 1;
  for (std::size_t c = 0; c < mixed.size(); ++c) {
    double sum = conv.bias.empty() ? 0 : conv.bias[static_cast<Index>(c)];
    for (Index j = 0; j < conv.taps(); ++j)
      if (const Index from = t - conv.taps() + 1 + j; from >= 0)
        sum += conv.weight[static_cast<Index>(c) * conv.taps() + j] * rows[static_cast<std::size_t>(from)][first + c];
    mixed[c] = silu(sum);
  }
  return mixed;
}

/// A layer of `config` gives what `formula(config, parameters, x)` does.
template <class Layer, class Formula>
void check_formula(const typename Layer::Config& config, const suites::LayerCase& options, Formula&& formula) {
  const Layer layer(config);
  ParameterStore<typename Layer::Parameters> store(layer.make_parameters());
  suites::draw_weights(store.views(), options);
  const auto x = testing::random_matrix<double>(37, layer.width(), 2);
  testing::Matrix<double> y(37, layer.width());
  Context context;
  auto state = layer.initial_state(store.views());
  const Segment<State<double>> segment{37, &state};
  layer.forward(store.views(), x.view(), {&segment, 1}, y.view(), context);
  const testing::Matrix<double> expected = formula(layer.config(), store.views(), x);
  CHECK(testing::far_apart(testing::parts_of(std::as_const(y).view(), "y")[0].values,
                           testing::parts_of(expected.view(), "y")[0].values, 1e-11) == "");
}

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
