// SPDX-License-Identifier: MIT
// Heads of width 64, side by side in rows at positions 0, 1, …
#include "ttt/kernels/rotary.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void rotary(benchmark::State& state, kernels::RotaryPairs pairs) {
  constexpr Index head_width = 64;
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  const kernels::RotaryTable<float> table(head_width, operands.rows(), 10000);
  operands.measure(2 * operands.size() + operands.rows() * head_width, [&] {
    for (Index r = 0; r < x.rows(); ++r)
      for (Index c = 0; c < x.columns(); c += head_width)
        kernels::rotate(table.cosines(r), table.sines(r), pairs, head_width, x.row(r) + c, y.row(r) + c);
  });
}

BENCHMARK_CAPTURE(rotary, interleaved, kernels::RotaryPairs::interleaved)->Apply(bench::row_sizes);
BENCHMARK_CAPTURE(rotary, halves, kernels::RotaryPairs::halves)->Apply(bench::row_sizes);

}  // namespace
