// SPDX-License-Identifier: MIT
// Heads of 64.
#include "ttt/kernels/unit_silu.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

constexpr float epsilon = 1e-5F;

void unit_silu(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  const auto scale = operands.vector(), offset = operands.vector();
  operands.measure(2 * operands.size(), [&] { kernels::unit_silu(x, scale, offset, 64, epsilon, y); });
}

void unit_silu_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), d_y = operands.matrix(), d_x = operands.matrix();
  const auto scale = operands.vector(), offset = operands.vector(), d_s = operands.vector(), d_o = operands.vector();
  operands.measure(3 * operands.size(),
                   [&] { kernels::unit_silu_backward(x, scale, offset, 64, epsilon, d_y, d_x, d_s, d_o); });
}

BENCHMARK(unit_silu)->Apply(bench::row_sizes);
BENCHMARK(unit_silu_backward)->Apply(bench::row_sizes);

}  // namespace
