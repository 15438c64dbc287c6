// SPDX-License-Identifier: MIT
// Products of factors rounded to bfloat16 on one thread, as training has them: rows × width × width, the right factor
// in panels already, and what making those panels takes.
#include "ttt/kernels/matmul_pairs.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

/// C [rows × width] = A · B, or with A transposed in memory C [width × width] = Aᵀ · B: the gradient of a weight.
void measure(benchmark::State& state, bool transposed) {
  const Index rows = state.range(0), width = state.range(1), inner = transposed ? rows : width;
  bench::Operands operands;
  const Factor<float> a{operands.matrix(rows, width), transposed};
  const Factor<float> b{operands.matrix(inner, width)};
  const auto c = operands.matrix(a.rows(), width), words = operands.matrix(a.rows(), kernels::pair_count(inner));
  const Index pairs = kernels::pair_count(inner);
  const PanelView<float> panels(operands.matrix(1, PanelView<float>::storage_size(pairs, width)).data(), pairs, width);
  kernels::pair_panels(b, panels);
  bench::measure_product(state, 2.0 * static_cast<double>(rows * width * width),
                         [&] { kernels::matmul_pairs(a, words.data(), panels, c); });
}

void matmul_pairs(benchmark::State& state) { measure(state, false); }
void matmul_pairs_transposed(benchmark::State& state) { measure(state, true); }

void pair_panels(benchmark::State& state) {
  bench::RowOperands operands(state);
  const auto b = operands.matrix();
  const Index pairs = kernels::pair_count(b.rows()), size = PanelView<float>::storage_size(pairs, b.columns());
  bench::Operands more;
  const PanelView<float> panels(more.matrix(1, size).data(), pairs, b.columns());
  operands.measure(operands.size() + size, [&] { kernels::pair_panels({b}, panels); });
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"rows", "width"})->Unit(benchmark::kMicrosecond)->UseManualTime();
  for (const Index width : {256, 768, 2048}) bench->Args({2048, width});
}

BENCHMARK(matmul_pairs)->Apply(sizes);
BENCHMARK(matmul_pairs_transposed)->Apply(sizes);
BENCHMARK(pair_panels)->Apply(bench::row_sizes);

}  // namespace
