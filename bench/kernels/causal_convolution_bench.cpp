// SPDX-License-Identifier: MIT
// Four taps, as the published models have.
#include "ttt/kernels/causal_convolution.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

constexpr Index taps = 4;

void causal_convolution(benchmark::State& state) {
  bench::RowOperands operands(state);
  bench::Operands more;
  const auto x = operands.matrix(), y = operands.matrix();
  const auto tail = more.matrix(taps - 1, operands.width()), weights = more.matrix(taps, operands.width());
  const auto bias = operands.vector();
  operands.measure(2 * operands.size(), [&] { kernels::causal_convolution(x, tail, weights, bias, y); });
}

void causal_convolution_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  bench::Operands more;
  const auto x = operands.matrix(), d_y = operands.matrix(), d_x = operands.matrix();
  const auto tail = more.matrix(taps - 1, operands.width()), d_tail = more.matrix(taps - 1, operands.width());
  const MatrixView<const float> weights = more.matrix(taps, operands.width());
  const auto d_weights = more.matrix(taps, operands.width());
  const auto d_bias = operands.vector();
  operands.measure(3 * operands.size(), [&] {
    kernels::causal_convolution_backward(x, tail, weights, d_y, d_x, d_tail, d_weights, d_bias);
  });
}

BENCHMARK(causal_convolution)->Apply(bench::row_sizes);
BENCHMARK(causal_convolution_backward)->Apply(bench::row_sizes);

}  // namespace
