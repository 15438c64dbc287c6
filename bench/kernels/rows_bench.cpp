// SPDX-License-Identifier: MIT
#include "ttt/kernels/rows.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void add_rows(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto x = operands.matrix(), y = operands.matrix();
  operands.measure(3 * operands.size(), [&] { kernels::add_rows<simd::Native, float>(x, y); });
}

void multiply_add_rows(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto a = operands.matrix(), b = operands.matrix(), y = operands.matrix();
  operands.measure(4 * operands.size(), [&] { kernels::multiply_add_rows<simd::Native, float>(a, b, y); });
}

BENCHMARK(add_rows)->Apply(bench::row_sizes);
BENCHMARK(multiply_add_rows)->Apply(bench::row_sizes);

}  // namespace
