// SPDX-License-Identifier: MIT
// A rate for every 64 columns, as KDA has them.
#include "ttt/kernels/decay.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void decay_rows(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto a = operands.matrix(), decay = operands.matrix();
  const auto bias = operands.vector(), rate = VectorView<float>(operands.vector().data(), operands.width() / 64);
  operands.measure(2 * operands.size(), [&] { kernels::decay_rows(a, bias, rate, {}, {}, decay); });
}

void decay_rows_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto a = operands.matrix(), d_decay = operands.matrix(), d_a = operands.matrix();
  const auto bias = operands.vector(), rate = VectorView<float>(operands.vector().data(), operands.width() / 64);
  const auto d_bias = operands.vector(), d_rate = operands.vector();
  operands.measure(3 * operands.size(),
                   [&] { kernels::decay_rows_backward(a, bias, rate, {}, {}, d_decay, d_a, d_bias, d_rate); });
}

/// Of as many channels as there are rows.
void scan_rates(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto log_rate = operands.matrix(), memory = operands.matrix();
  const MatrixView<float> rates(memory.data(), operands.width(), operands.rows());
  operands.measure(2 * operands.size(), [&] { kernels::scan_rates(log_rate, rates); });
}

BENCHMARK(decay_rows)->Apply(bench::row_sizes);
BENCHMARK(decay_rows_backward)->Apply(bench::row_sizes);
BENCHMARK(scan_rates)->Apply(bench::row_sizes);

}  // namespace
