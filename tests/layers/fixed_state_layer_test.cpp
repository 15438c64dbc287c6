// SPDX-License-Identifier: MIT
#include "ttt/layers/fixed_state_layer.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "ttt/layers/short_convolution.hpp"
#include "ttt/layers/ttt_linear.hpp"

using namespace ttt;

TEST_CASE("A State of one size is the same for any capacity, and its layout is shared") {
  const ShortConvolution<float> layer({6, 3});
  CHECK(layer.state_layout() == layer.state_layout(1000));
  CHECK(layer.state_layout()->capacity() == StateLayout::unlimited);
  CHECK(ShortConvolution<float>(layer).state_layout() == layer.state_layout());
  CHECK(state_bytes(layer) == 2 * 6 * sizeof(float));
}

TEST_CASE("It begins with zeros, or as the layer says, and only the layer's own are reset") {
  const ShortConvolution<float> zeros({6, 3}), wider({7, 3});
  const TttLinear<float> learned({.width = 8, .heads = 2});
  ParameterStore<ShortConvolution<float>::Parameters> store(zeros.make_parameters());
  ParameterStore<TttLinear<float>::Parameters> weights(learned.make_parameters());
  initialize(store.views(), 1), initialize(weights.views(), 1);
  State<float> state = zeros.initial_state(store.views(), 5);
  CHECK(state.position == 0);
  CHECK(state.values == Buffer<float>(12));
  state.values[3] = 1, state.position = 4;
  zeros.reset(store.views(), state);
  CHECK(state == zeros.initial_state(store.views()));
  CHECK_FALSE(learned.initial_state(weights.views()).values == Buffer<float>(learned.state_layout()->size()));
  CHECK(zeros.accepts(state));
  CHECK_FALSE(wider.accepts(state));
  CHECK_FALSE(zeros.accepts(ShortConvolution<float>::Record()));
  CHECK(zeros.accepts_gradients(store.views()));
  CHECK_FALSE(wider.accepts_gradients(store.views()));
  State<float> other = learned.initial_state(weights.views());
  const State<float> before = other;
  CHECK(testing::error_lacks([&] { zeros.reset(store.views(), other); }, {"short convolution", "State"}) == "");
  CHECK(other == before);
}
