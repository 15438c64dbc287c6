// SPDX-License-Identifier: MIT
#include "ttt/layers/short_convolution.hpp"

#include "suites/sequence_layer.hpp"

using namespace ttt;

TEST_CASE("A short convolution is a sequence layer") {
  suites::check_sequence_layer(ShortConvolution<double>({6, 4}), {.mini_batch = 4});
  suites::check_sequence_layer(ShortConvolution<float>({18, 3}), {.mini_batch = 3});
  suites::check_sequence_layer(ShortConvolution<double>({5, 2}), {.mini_batch = 2});
  suites::check_sequence_layer(ShortConvolution<double>({5, 3, false, kernels::Activation::silu}), {.mini_batch = 3});
}

TEST_CASE("A short convolution sums the last tokens") {
  const Index taps = GENERATE(1, 4);
  const ShortConvolution<double> layer({3, taps});
  ParameterStore<ShortConvolution<double>::Parameters> store(layer.make_parameters());
  initialize(store.views(), 3);
  const auto& weights = store.views();
  const auto x = testing::random_matrix<double>(9, 3, 2);
  testing::Matrix<double> y(9, 3);
  Context context;
  auto state = layer.initial_state(weights);
  const Segment<State<double>> segment{9, &state};
  layer.forward(weights, x.view(), {&segment, 1}, y.view(), context);
  for (Index t = 0; t < 9; ++t)
    for (Index c = 0; c < 3; ++c) {
      double sum = weights.bias[c];
      for (Index j = 0; j < taps; ++j)
        if (t - taps + 1 + j >= 0) sum += weights.weight[c * taps + j] * x(t - taps + 1 + j, c);
      CHECK(y(t, c) == Approx(sum).epsilon(1e-14));
    }
  for (Index r = 0; r + 1 < taps; ++r)
    for (Index c = 0; c < 3; ++c) CHECK(state[state.layout->parts()[0]](r, c) == x(6 + r, c));
}
