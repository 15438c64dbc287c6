// SPDX-License-Identifier: MIT
#include "ttt/layers/swiglu.hpp"

#include <cmath>

#include "layers/formula_parts.hpp"
#include "suites/sequence_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;

namespace {

Matrix<double> formula(const NamedWeights& p, const Matrix<double>& x) {
  Matrix<double> y(x.rows(), x.columns());
  for (Index t = 0; t < x.rows(); ++t) {
    Row hidden = silu(map(p["gate_proj.weight"], row_of(x, t)));
    const Row up = map(p["up_proj.weight"], row_of(x, t));
    for (std::size_t f = 0; f < hidden.size(); ++f) hidden[f] *= up[f];
    assign(map(p["down_proj.weight"], hidden), y, t);
  }
  return y;
}

}  // namespace

TEST_CASE("A SwiGLU is a sequence layer without a state") {
  suites::check_sequence_layer(Swiglu<double>({6, 9}), {.formula = formula});
  suites::check_sequence_layer(Swiglu<float>({18, 5}), {.formula = formula});
  suites::check_sequence_layer(Swiglu<double>({6, 9, kernels::Activation::gelu}));
  CHECK(state_bytes(Swiglu<float>({18, 5})) == 0);
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
