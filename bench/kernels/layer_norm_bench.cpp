// SPDX-License-Identifier: MIT
// Layer norm over rows of any width, and the norms of the TTT inner model over blocks of rows.
#include "ttt/kernels/layer_norm.hpp"

#include "support/kernels.hpp"
#include "ttt/kernels/layer_norm/rows.hpp"

namespace {

using namespace ttt;

constexpr float epsilon = 1e-6F;

void layer_norm(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  const auto weight = operands.vector(), bias = operands.vector();
  operands.measure(2 * operands.size(), [&] { kernels::layer_norm(x, weight, bias, epsilon, y); });
}

void layer_norm_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), d_y = operands.matrix(), d_x = operands.matrix();
  const auto weight = operands.vector(), d_weight = operands.vector(), d_bias = operands.vector();
  operands.measure(3 * operands.size(),
                   [&] { kernels::layer_norm_backward(x, weight, epsilon, d_y, d_x, d_weight, d_bias); });
}

kernels::NormRows<float> inner_norm(bench::RowOperands& operands) {
  return {operands.vector().data(), operands.vector().data(), epsilon};
}

void residual_norm_rows(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto norm = inner_norm(operands);
  const MatrixView<const float> x = operands.matrix(), z = operands.matrix();
  const auto out = operands.matrix();
  operands.measure(3 * operands.size(), [&] { kernels::residual_norm_rows(norm, x, z, out); });
}

void residual_norm_rows_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto norm = inner_norm(operands);
  const MatrixView<const float> z = operands.matrix(), d_out = operands.matrix();
  const auto d_z = operands.matrix();
  const kernels::NormRowsGradient<float> d_norm{operands.vector().data(), operands.vector().data()};
  operands.measure(3 * operands.size(), [&] { kernels::residual_norm_rows_backward(norm, z, d_out, d_z, d_norm); });
}

void reconstruction_gradient_rows(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto norm = inner_norm(operands);
  const MatrixView<const float> z = operands.matrix(), keys = operands.matrix(), values = operands.matrix();
  const auto g = operands.matrix();
  operands.measure(4 * operands.size(), [&] { kernels::reconstruction_gradient_rows(norm, z, keys, values, g); });
}

void reconstruction_gradient_rows_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto norm = inner_norm(operands);
  const MatrixView<const float> z = operands.matrix(), keys = operands.matrix(), values = operands.matrix();
  const MatrixView<const float> d_g = operands.matrix();
  const auto d_z = operands.matrix(), d_keys = operands.matrix(), d_values = operands.matrix();
  const kernels::NormRowsGradient<float> d_norm{operands.vector().data(), operands.vector().data()};
  operands.measure(8 * operands.size(), [&] {
    kernels::reconstruction_gradient_rows_backward(norm, z, keys, values, d_g, d_z, d_keys, d_values, d_norm);
  });
}

BENCHMARK(layer_norm)->Apply(bench::row_sizes);
BENCHMARK(layer_norm_backward)->Apply(bench::row_sizes);
BENCHMARK(residual_norm_rows)->Apply(bench::row_sizes);
BENCHMARK(residual_norm_rows_backward)->Apply(bench::row_sizes);
BENCHMARK(reconstruction_gradient_rows)->Apply(bench::row_sizes);
BENCHMARK(reconstruction_gradient_rows_backward)->Apply(bench::row_sizes);

}  // namespace
