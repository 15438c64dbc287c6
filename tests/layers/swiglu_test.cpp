// SPDX-License-Identifier: MIT
#include "ttt/layers/swiglu.hpp"

#include <cmath>

#include "suites/sequence_layer.hpp"

using namespace ttt;

TEST_CASE("A SwiGLU is a sequence layer without a state") {
  suites::check_sequence_layer(Swiglu<double>({6, 9}));
  suites::check_sequence_layer(Swiglu<float>({18, 5}));
  suites::check_sequence_layer(Swiglu<double>({6, 9, kernels::Activation::gelu}));
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

TEST_CASE("A SwiGLU may have another activation") {
  const Swiglu<double> layer({1, 1, kernels::Activation::gelu});
  ParameterStore<Swiglu<double>::Parameters> store(layer.make_parameters());
  for (Tensor<double>* weight : {&store.views().gate_proj, &store.views().up_proj, &store.views().down_proj})
    weight->data()[0] = 1;
  const testing::Matrix<double> x = testing::random_matrix<double>(1, 1, 2);
  testing::Matrix<double> y(1, 1);
  Context context;
  auto state = layer.initial_state(store.views());
  const Segment<State<double>> segment{1, &state};
  layer.forward(store.views(), x.view(), {&segment, 1}, y.view(), context);
  const double z = x(0, 0), inner = std::sqrt(2 / 3.14159265358979323846) * (z + 0.044715 * z * z * z);
  CHECK(y(0, 0) == Approx(z * z / 2 * (1 + std::tanh(inner))).epsilon(1e-12));
}
