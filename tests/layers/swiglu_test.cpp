// SPDX-License-Identifier: MIT
#include "ttt/layers/swiglu.hpp"

#include "suites/sequence_layer.hpp"

using namespace ttt;

TEST_CASE("A SwiGLU is a sequence layer without a state") {
  suites::check_sequence_layer(Swiglu<double>({6, 9}));
  suites::check_sequence_layer(Swiglu<float>({18, 5}));
  CHECK(state_bytes(Swiglu<float>({18, 5})) == 0);
}

TEST_CASE("A SwiGLU is the one of the rows") {
  const Swiglu<double> layer({6, 9});
  ParameterStore<Swiglu<double>::Parameters> store(layer.make_parameters());
  initialize(store.views(), 3);
  const auto x = testing::random_matrix<double>(11, 6, 2);
  testing::Matrix<double> y(11, 6), expected(11, 6);
  Context context;
  auto state = layer.initial_state(store.views());
  const Segment<State<double>> segment{11, &state};
  layer.forward(store.views(), x.view(), {&segment, 1}, y.view(), context);
  nn::swiglu_forward<double>(store.views(), x.view(), expected.view(), context);
  for (Index r = 0; r < 11; ++r)
    for (Index c = 0; c < 6; ++c) CHECK(y(r, c) == expected(r, c));
  CHECK(state.position == 11);
}
