// SPDX-License-Identifier: MIT
#include "ttt/layers/short_convolution.hpp"

#include "layers/formula_parts.hpp"
#include "suites/sequence_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;

namespace {

Matrix<double> formula(kernels::Activation activation, const NamedWeights& p, const Matrix<double>& x) {
  Matrix<double> y(x.rows(), x.columns());
  std::vector<Row> rows;
  for (Index t = 0; t < x.rows(); ++t) {
    rows.push_back(row_of(x, t));
    const Row sums = convolved(p, "", rows);
    assign(activation == kernels::Activation::silu ? silu(sums) : sums, y, t);
  }
  return y;
}

suites::LayerCase layer_case(const ShortConvolutionConfig& config) {
  return {.mini_batch = config.taps, .formula = std::bind_front(formula, config.activation)};
}

template <class Scalar>
void check(const ShortConvolutionConfig& config) {
  suites::check_sequence_layer(ShortConvolution<Scalar>(config), layer_case(config));
}

}  // namespace

TEST_CASE("A short convolution is a sequence layer") {
  check<double>({6, 4});
  check<float>({18, 3});
  check<double>({5, 2});
  check<double>({5, 3, false, kernels::Activation::silu});
  // One of a single tap remembers nothing, and its record is empty.
  suites::require(suites::SequenceLayerSuite(ShortConvolution<double>({5, 1}), layer_case({5, 1})).formula());
}

TEST_CASE("A short convolution remembers the last tokens") {
  const ShortConvolution<double> layer({3, 4});
  ParameterStore<ShortConvolution<double>::Parameters> store(layer.make_parameters());
  initialize(store.views(), 3);
  const auto x = testing::random_matrix<double>(9, 3, 2);
  Matrix<double> y(9, 3);
  Context context;
  auto state = layer.initial_state(store.views());
  const Segment<State<double>> segment{9, &state};
  layer.forward(store.views(), x.view(), {&segment, 1}, y.view(), context);
  for (Index r = 0; r < 3; ++r)
    for (Index c = 0; c < 3; ++c) CHECK(state[state.layout->parts()[0]](r, c) == x(6 + r, c));
}
