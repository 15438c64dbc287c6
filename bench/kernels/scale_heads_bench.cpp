// SPDX-License-Identifier: MIT
// Heads of 64 columns, each with columns of its own.
#include "ttt/kernels/scale_heads.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void scale_heads(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto rates = operands.matrix().columns(0, operands.width() / 64);
  const auto x = operands.matrix(), y = operands.matrix();
  operands.measure(2 * operands.size(), [&] { kernels::scale_heads(rates, x, y); });
}

void add_scaled_heads(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto rates = operands.matrix().columns(0, operands.width() / 64);
  const auto x = operands.matrix(), y = operands.matrix();
  operands.measure(3 * operands.size(), [&] { kernels::add_scaled_heads(rates, x, y); });
}

void scale_heads_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto heads = operands.width() / 64;
  const auto rates = operands.matrix().columns(0, heads), d_rates = operands.matrix().columns(0, heads);
  const auto x = operands.matrix(), d_y = operands.matrix(), d_x = operands.matrix();
  operands.measure(4 * operands.size(), [&] { kernels::scale_heads_backward(rates, x, d_y, d_rates, d_x); });
}

BENCHMARK(scale_heads)->Apply(bench::row_sizes);
BENCHMARK(add_scaled_heads)->Apply(bench::row_sizes);
BENCHMARK(scale_heads_backward)->Apply(bench::row_sizes);

}  // namespace
