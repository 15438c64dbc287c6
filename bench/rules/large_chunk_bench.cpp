// SPDX-License-Identifier: MIT
// One head of LaCT (D = F = 192: width 768, four heads) between the projections: T tokens in chunks of 512, forward and
// backward, and one token.
#include <benchmark/benchmark.h>

#include <cmath>

#include "ttt/core/random.hpp"
#include "ttt/rules/large_chunk/large_chunk.hpp"

namespace {

using namespace ttt;

constexpr Index width = 192;

struct Head {
  using Rule = rules::LargeChunk<rules::InnerSwiglu<float>>;

  Rule rule;
  Buffer<float> memory;
  rules::LargeChunkRows<float> rows, gradients;
  MatrixView<float> out, state, d_state;

  Head(Index tokens, rules::ChunkStep step)
      : rule({width, width}, 512, step), memory(tokens * (7 * width + 8) + 2 * rule.state_size()) {
    const RandomStream random(1, "rows");
    float* next = memory.data();
    const auto part = [&](Index rows_of_part, Index columns, float scale) {
      const MatrixView<float> view(next, rows_of_part, columns);
      for (float* const end = next + rows_of_part * columns; next < end; ++next)
        *next = scale * static_cast<float>(random.normal(static_cast<std::uint64_t>(next - memory.data())));
      return view;
    };
    const float unit = 1 / std::sqrt(static_cast<float>(width));
    for (auto* all : {&rows, &gradients})
      *all = {part(tokens, width, unit), part(tokens, width, unit), part(tokens, width, 1), part(tokens, 3, 1e-3F),
              part(tokens, 1, 0.1F)};
    out = part(tokens, width, 1);
    state = part(1, rule.initial_size(), unit), next += rule.state_size() - rule.initial_size();
    d_state = part(1, rule.state_size(), 0);
    if (rule.has_momentum()) return;
    rows.momentum = gradients.momentum = {};
  }
};

/// Arguments: tokens T, the ChunkStep, 1 for a backward too.
void sequence(benchmark::State& bench) {
  Head head(bench.range(0), static_cast<rules::ChunkStep>(bench.range(1)));
  const bool backward = bench.range(2) != 0;
  Arena scratch, memory;
  Head::Rule::Record record;
  if (backward) record = head.rule.record(1, bench.range(0), memory);
  const std::int64_t position = 1;  // in the first chunk, whose lengths are measured
  head.rule.forward<simd::Native>({{}, head.rows.rows(0, 1), 0}, head.state.data(), head.out.rows(0, 1), {}, scratch);
  for (auto _ : bench) {
    head.rule.forward<simd::Native>({{}, head.rows, position}, head.state.data(), head.out, record, scratch);
    if (backward)
      head.rule.backward<simd::Native>({{}, head.rows, position}, record, head.out, head.d_state.data(),
                                       {{}, head.gradients, 0}, scratch);
  }
  bench.SetItemsProcessed(bench.iterations() * bench.range(0));
  const double products = backward ? 9 + 23 : 9;
  bench.counters["FLOP/s"] = benchmark::Counter(2 * products * static_cast<double>(width * width * bench.range(0)),
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(sequence)
    ->ArgNames({"T", "step", "backward"})
    ->ArgsProduct({{1, 2048}, {0, 1, 2}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
