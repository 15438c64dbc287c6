// SPDX-License-Identifier: MIT
// What is multiplied in place is zero: call after call, other numbers would become too small for the normal speed.
#include "ttt/kernels/gelu_gate.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void gelu_gate(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto gate = operands.matrix(), y = operands.matrix();
  fill(y, 0);
  operands.measure(3 * operands.size(), [&] { kernels::gelu_gate(gate, y); });
}

void gelu_gate_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto gate = operands.matrix(), x = operands.matrix(), d_y = operands.matrix(), d_gate = operands.matrix();
  fill(d_y, 0);
  operands.measure(5 * operands.size(), [&] { kernels::gelu_gate_backward(gate, x, d_y, d_gate); });
}

BENCHMARK(gelu_gate)->Apply(bench::row_sizes);
BENCHMARK(gelu_gate_backward)->Apply(bench::row_sizes);

}  // namespace
