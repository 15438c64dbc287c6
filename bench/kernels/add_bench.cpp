// SPDX-License-Identifier: MIT
#include "ttt/kernels/add.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void add(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  operands.measure(3 * operands.size(), [&] { kernels::add<simd::Native, float>(x, y); });
}

BENCHMARK(add)->Apply(bench::row_sizes);

}  // namespace
