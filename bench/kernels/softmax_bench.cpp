// SPDX-License-Identifier: MIT
#include "ttt/kernels/softmax.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void softmax(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix();
  operands.measure(2 * operands.size(), [&] {
    for (Index r = 0; r < x.rows(); ++r) kernels::softmax_row(x.row(r), x.columns());
  });
}

void softmax_backward(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto y = operands.matrix(), d_y = operands.matrix(), d_x = operands.matrix();
  operands.measure(3 * operands.size(), [&] {
    for (Index r = 0; r < y.rows(); ++r) kernels::softmax_row_backward(y.row(r), d_y.row(r), y.columns(), d_x.row(r));
  });
}

BENCHMARK(softmax)->Apply(bench::row_sizes);
BENCHMARK(softmax_backward)->Apply(bench::row_sizes);

}  // namespace
