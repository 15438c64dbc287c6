// SPDX-License-Identifier: MIT
#include "ttt/kernels/rms_norm.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

constexpr float epsilon = 1e-6F;

void rms_norm(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  const auto weight = operands.vector();
  operands.measure(2 * operands.size(), [&] { kernels::rms_norm(x, weight, epsilon, y); });
}

void rms_norm_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), d_y = operands.matrix(), d_x = operands.matrix();
  const auto weight = operands.vector(), d_weight = operands.vector();
  operands.measure(3 * operands.size(), [&] { kernels::rms_norm_backward(x, weight, epsilon, d_y, d_x, d_weight); });
}

BENCHMARK(rms_norm)->Apply(bench::row_sizes);
BENCHMARK(rms_norm_backward)->Apply(bench::row_sizes);

}  // namespace
