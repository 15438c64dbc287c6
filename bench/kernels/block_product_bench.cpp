// SPDX-License-Identifier: MIT
// Products of a mini-batch with the fast weights of a head, as the TTT rules call them.
#include "ttt/kernels/block_product.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

struct Shape {
  explicit Shape(const benchmark::State& state)
      : rows(state.range(0)), inner(state.range(1)), columns(state.range(2)) {}
  double flops() const { return 2.0 * static_cast<double>(rows * inner * columns); }

  Index rows, inner, columns;
};

void block_product(benchmark::State& state) {
  const Shape shape(state);
  bench::Operands operands;
  const auto a = operands.matrix(shape.rows, shape.inner), b = operands.matrix(shape.inner, shape.columns);
  const auto c = operands.matrix(shape.rows, shape.columns);
  bench::measure_product(state, shape.flops(), [&] { kernels::block_product(kernels::Left<float>(a), b, c); });
}

void block_product_transposed(benchmark::State& state) {
  const Shape shape(state);
  bench::Operands operands;
  const MatrixView<const float> a = operands.matrix(shape.rows, shape.inner);
  const MatrixView<const float> b = operands.matrix(shape.columns, shape.inner);
  const auto c = operands.matrix(shape.rows, shape.columns);
  Arena scratch;
  bench::measure_product(state, shape.flops(), [&] { kernels::block_product_transposed(a, b, c, scratch); });
}

/// Aᵀ · B joins what C holds: the rows are those of C, what is summed over is the mini-batch.
void block_product_outer(benchmark::State& state) {
  const Shape shape(state);
  bench::Operands operands;
  const auto a = operands.matrix(shape.inner, shape.rows), b = operands.matrix(shape.inner, shape.columns);
  const auto c = operands.matrix(shape.rows, shape.columns);
  bench::measure_product(state, shape.flops(),
                         [&] { kernels::block_product(kernels::transposed(a), b, c, kernels::Output::accumulate); });
}

/// FLOPs count what is not known to be zero.
void block_product_causal(benchmark::State& state) {
  const Index rows = state.range(0), columns = state.range(1);
  bench::Operands operands;
  const MatrixView<float> a = operands.matrix(rows, rows);
  for (Index r = 0; r < rows; ++r) fill(a.rows(r, 1).columns(r + 1, rows - r - 1), 0);
  const MatrixView<const float> b = operands.matrix(rows, columns);
  const auto c = operands.matrix(rows, columns);
  bench::measure_product(state, static_cast<double>(rows * (rows + 1) * columns),
                         [&] { kernels::block_product_causal(MatrixView<const float>(a), 0, b, c); });
}

void shapes(benchmark::internal::Benchmark* bench) { bench->ArgNames({"rows", "inner", "columns"})->UseManualTime(); }
void of_mini_batches(benchmark::internal::Benchmark* bench) {
  shapes(bench);
  bench->Args({16, 32, 32})->Args({16, 64, 64})->Args({16, 64, 256})->Args({16, 256, 64});
}
void of_weights(benchmark::internal::Benchmark* bench) {
  shapes(bench);
  bench->Args({32, 16, 32})->Args({64, 16, 64})->Args({64, 16, 256})->Args({256, 16, 64});
}

BENCHMARK(block_product)->Apply(of_mini_batches);
BENCHMARK(block_product_transposed)->Apply(of_mini_batches);
BENCHMARK(block_product_outer)->Apply(of_weights);
BENCHMARK(block_product_causal)->ArgNames({"rows", "columns"})->UseManualTime()->Args({16, 32})->Args({16, 64});

}  // namespace
