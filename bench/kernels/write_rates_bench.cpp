// SPDX-License-Identifier: MIT
// Heads of 64 columns, each with a key of its own.
#include "ttt/kernels/write_rates.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

/// Operands of so many rows and columns.
kernels::WriteRates<float> operands_of(bench::RowOperands& operands) {
  const Index heads = operands.width() / 64;
  const auto of_heads = [&] { return operands.matrix().columns(0, heads); };
  const auto logits = of_heads(), rates = of_heads();
  return {logits, operands.matrix(), operands.matrix(), rates, operands.matrix(), operands.matrix(), heads, 1};
}

void write_rates(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto call = operands_of(operands);
  operands.measure(4 * operands.size(), [&] { kernels::write_rates(call); });
}

void write_rates_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto call = operands_of(operands);
  kernels::write_rates(call);
  const kernels::WriteRatesGradient<float> d{operands.matrix(), operands.matrix(), operands.matrix(),
                                             operands.matrix()};
  const auto d_logits = operands.matrix().columns(0, call.heads());
  const auto d_values = operands.matrix(), d_queries = operands.matrix(), d_keys = operands.matrix();
  operands.measure(9 * operands.size(),
                   [&] { kernels::write_rates_backward(call, d, d_logits, d_values, d_queries, d_keys); });
}

BENCHMARK(write_rates)->Apply(bench::row_sizes);
BENCHMARK(write_rates_backward)->Apply(bench::row_sizes);

}  // namespace
