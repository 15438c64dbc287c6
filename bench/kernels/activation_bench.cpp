// SPDX-License-Identifier: MIT
#include "ttt/kernels/activation.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;
using kernels::Activation;

template <Activation activation>
void activate_rows(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  operands.measure(2 * operands.size(), [&] { kernels::activate_rows(activation, x, y); });
}

template <Activation activation>
void gate_rows(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto gate = operands.matrix(), x = operands.matrix(), y = operands.matrix();
  operands.measure(3 * operands.size(), [&] { kernels::gate_rows(activation, gate, x, y); });
}

template <Activation activation>
void gate_rows_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto gate = operands.matrix(), x = operands.matrix(), d_y = operands.matrix();
  const auto d_gate = operands.matrix(), d_x = operands.matrix();
  operands.measure(5 * operands.size(), [&] { kernels::gate_rows_backward(activation, gate, x, d_y, d_gate, d_x); });
}

BENCHMARK(activate_rows<Activation::sigmoid>)->Apply(bench::row_sizes);
BENCHMARK(gate_rows<Activation::silu>)->Apply(bench::row_sizes);
BENCHMARK(gate_rows<Activation::gelu>)->Apply(bench::row_sizes);
BENCHMARK(gate_rows_backward<Activation::silu>)->Apply(bench::row_sizes);
BENCHMARK(gate_rows_backward<Activation::gelu>)->Apply(bench::row_sizes);

}  // namespace
