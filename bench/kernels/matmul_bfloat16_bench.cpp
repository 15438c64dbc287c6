// SPDX-License-Identifier: MIT
// Products with weights in float and in bfloat16: one row and few (decode of a stack larger than the cache, bytes per
// second), and many rows (prefill, FLOP per second).
#include <benchmark/benchmark.h>

#include "ttt/core/storage.hpp"
#include "ttt/kernels/matmul_bfloat16.hpp"

namespace {

using namespace ttt;

/// The panels of `count` weights [K × N], all ones: the time depends on where they lie and not on what they are.
template <class Panels>
struct Stack {
  Stack(Index count, Index k, Index n) : inner(k), columns(n), each(Panels::storage_size(k, n)), values(each * count) {
    constexpr bool narrow = std::is_same_v<Panels, Bfloat16PanelView>;
    const float one = narrow ? std::bit_cast<float>(0x3F803F80u) : 1.0f;
    std::fill_n(values.data(), values.size(), one);
  }
  Panels operator[](Index i) const { return {values.data() + i * each, inner, columns}; }

  Index inner, columns, each;
  Buffer<float> values;
};

/// Arguments: rows, K, N, weights in the stack.
template <class Panels>
void product(benchmark::State& bench) {
  const Index rows = bench.range(0), inner = bench.range(1), columns = bench.range(2), count = bench.range(3);
  const Stack<Panels> weights(count, inner, columns);
  Buffer<float> x(rows * inner), y(rows * columns);
  const kernels::Left<float> left(MatrixView<const float>(x.data(), rows, inner));
  for (auto _ : bench)
    for (Index i = 0; i < count; ++i) {
      kernels::matmul(left, weights[i], MatrixView<float>(y.data(), rows, columns));
      benchmark::DoNotOptimize(y.data());
    }
  using benchmark::Counter;
  const double passes = static_cast<double>(bench.iterations());
  bench.counters["bytes/s"] = Counter(passes * static_cast<double>(weights.values.bytes()), Counter::kIsRate);
  bench.counters["FLOP/s"] =
      Counter(passes * 2 * static_cast<double>(rows * inner * columns * count), Counter::kIsRate);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"rows", "K", "N", "weights"})->Unit(benchmark::kMillisecond);
  for (const Index rows : {1, 2, 4, 8}) bench->Args({rows, 768, 2048, 24});  // 75 MB in bfloat16
  for (const Index rows : {16, 96, 512}) bench->Args({rows, 768, 2048, 1});
}

BENCHMARK_TEMPLATE(product, PanelView<const float>)->Apply(sizes);
BENCHMARK_TEMPLATE(product, Bfloat16PanelView)->Apply(sizes);

}  // namespace
