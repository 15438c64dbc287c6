// SPDX-License-Identifier: MIT
// Heads of 64.
#include "ttt/kernels/l2_norm.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

constexpr float epsilon = 1e-6F;

void l2_norm(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  operands.measure(2 * operands.size(), [&] { kernels::l2_norm(x, 64, epsilon, 1, y); });
}

void l2_norm_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), d_y = operands.matrix(), d_x = operands.matrix();
  operands.measure(3 * operands.size(), [&] { kernels::l2_norm_backward(x, 64, epsilon, 1, d_y, d_x); });
}

BENCHMARK(l2_norm)->Apply(bench::row_sizes);
BENCHMARK(l2_norm_backward)->Apply(bench::row_sizes);

}  // namespace
