// SPDX-License-Identifier: MIT
// One head of the delta family between the projections: T tokens forward and backward, and one token after another.
#include <benchmark/benchmark.h>

#include <cmath>

#include "ttt/core/random.hpp"
#include "ttt/rules/delta/delta.hpp"

namespace {

using namespace ttt;

constexpr Index width = 64;

/// Rows of a head and their gradients: keys of length one, decays of −0.05 or so.
struct Head {
  Index tokens;
  Buffer<float> memory;
  rules::DeltaRows<float> rows, gradients;
  MatrixView<float> out, state, d_state;

  Head(Index length, Index decay, bool erases)
      : tokens(length), memory(2 * length * (5 * width + decay) + 2 * width * width) {
    const RandomStream random(1, "rows");
    for (Index i = 0; i < memory.size(); ++i)
      memory[i] = static_cast<float>(random.normal(static_cast<std::uint64_t>(i)) / std::sqrt(double{width}));
    float* next = memory.data();
    const auto part = [&](Index rows_of_part, Index columns) {
      const MatrixView<float> view(columns > 0 ? next : nullptr, rows_of_part, columns);
      next += rows_of_part * columns;
      return view;
    };
    for (auto* all : {&rows, &gradients})
      *all = {part(tokens, width), part(tokens, erases ? width : 0), part(tokens, width), part(tokens, width),
              part(tokens, decay)};
    for (Index t = 0; t < tokens; ++t)
      for (Index d = 0; d < decay; ++d) rows.decay(t, d) = -0.5F * std::abs(rows.decay(t, d));
    out = part(tokens, width), state = part(width, width), d_state = part(width, width);
  }
};

/// Arguments: columns of g, whether there is an e, tokens T, 1 for a backward too. FLOPs are those of the recurrence:
/// what is read, learned and answered, the backward twice.
void sequence(benchmark::State& bench) {
  Head head(bench.range(2), bench.range(0), bench.range(1) != 0);
  const bool backward = bench.range(3) != 0;
  Arena scratch, memory;
  rules::Checkpoints<float> checkpoints;
  if (backward)
    checkpoints = rules::Delta<float, rules::DeltaDecay::by_row, true>(width, width).record(0, head.tokens, memory);
  for (auto _ : bench) {
    rules::delta_forward<simd::Native, float>(head.rows, head.state, head.out, checkpoints, scratch);
    if (backward)
      rules::delta_backward<simd::Native, float>(head.rows, checkpoints, head.out, head.d_state, head.gradients,
                                                 scratch);
  }
  const double steps = (bench.range(1) != 0 ? 3 : 2) * 2.0 * width * width * static_cast<double>(head.tokens);
  bench.counters["flops"] =
      benchmark::Counter(steps * (backward ? 3 : 1), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(sequence)
    ->ArgNames({"decays", "erases", "T", "backward"})
    ->ArgsProduct({{0, 1, width}, {0, 1}, {2048}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

/// One token at a time.
void decode(benchmark::State& bench) {
  Head head(16, bench.range(0), bench.range(1) != 0);
  Arena scratch;
  for (auto _ : bench)
    for (Index t = 0; t < head.tokens; ++t)
      rules::delta_forward<simd::Native, float>(head.rows.rows(t, 1), head.state, head.out.rows(t, 1), {}, scratch);
  bench.SetItemsProcessed(bench.iterations() * head.tokens);
}
BENCHMARK(decode)->ArgNames({"decays", "erases"})->ArgsProduct({{0, 1, width}, {0, 1}})->Unit(benchmark::kMicrosecond);

}  // namespace
