// SPDX-License-Identifier: MIT
#include "ttt/kernels/swiglu.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void swiglu(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto gate = operands.matrix(), up = operands.matrix(), h = operands.matrix();
  operands.measure(3 * operands.size(), [&] { kernels::swiglu(gate, up, h); });
}

void swiglu_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto gate = operands.matrix(), up = operands.matrix(), d_h = operands.matrix();
  const auto d_gate = operands.matrix(), d_up = operands.matrix();
  operands.measure(5 * operands.size(), [&] { kernels::swiglu_backward(gate, up, d_h, d_gate, d_up); });
}

BENCHMARK(swiglu)->Apply(bench::row_sizes);
BENCHMARK(swiglu_backward)->Apply(bench::row_sizes);

}  // namespace
