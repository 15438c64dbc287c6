// SPDX-License-Identifier: MIT
// 64 channels of a selective scan with N = 16, between the projections: T tokens forward and backward, and one token.
#include <benchmark/benchmark.h>

#include <cmath>

#include "ttt/core/random.hpp"
#include "ttt/rules/selective_scan/selective_scan.hpp"

namespace {

using namespace ttt;

constexpr Index channels = 64, states = 16;

struct Channels {
  Buffer<float> memory;
  rules::ScanRows<float> rows, gradients;
  MatrixView<float> rates, d_rates, state, d_state, out;

  explicit Channels(Index tokens) : memory(tokens * (5 * channels + 4 * states) + 4 * states * channels) {
    const RandomStream random(1, "rows");
    for (Index i = 0; i < memory.size(); ++i)
      memory[i] = 0.1F * static_cast<float>(random.normal(static_cast<std::uint64_t>(i)));
    float* next = memory.data();
    const auto part = [&](Index rows_of_part, Index columns) {
      const MatrixView<float> view(next, rows_of_part, columns);
      next += rows_of_part * columns;
      return view;
    };
    for (auto* all : {&rows, &gradients})
      *all = {part(tokens, channels), part(tokens, channels), part(tokens, states), part(tokens, states)};
    for (auto* all : {&rates, &d_rates, &state, &d_state}) *all = part(states, channels);
    out = part(tokens, channels);
    for (Index i = 0; i < tokens * channels; ++i) rows.steps.data()[i] = std::abs(rows.steps.data()[i]);
    for (Index i = 0; i < states * channels; ++i) rates.data()[i] = -std::abs(rates.data()[i]);
  }
};

/// Arguments: tokens T, 1 for a backward too.
void sequence(benchmark::State& bench) {
  Channels all(bench.range(0));
  const bool backward = bench.range(1) != 0;
  Arena scratch, memory;
  rules::Checkpoints<float> checkpoints;
  if (backward) checkpoints = rules::SelectiveScan<float>(channels, states).record(0, bench.range(0), memory);
  for (auto _ : bench) {
    rules::selective_scan<simd::Native, float>(all.rows, all.rates, all.state, all.out, checkpoints);
    if (backward)
      rules::selective_scan_backward<simd::Native, float>(all.rows, all.rates, checkpoints, all.out, all.d_state,
                                                          all.gradients, all.d_rates, scratch);
  }
  bench.SetItemsProcessed(bench.iterations() * bench.range(0));
}
BENCHMARK(sequence)->ArgNames({"T", "backward"})->ArgsProduct({{1, 2048}, {0, 1}})->Unit(benchmark::kMicrosecond);

}  // namespace
