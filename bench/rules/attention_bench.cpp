// SPDX-License-Identifier: MIT
// Attention between the projections, heads of width 64: T tokens forward and backward, and one token behind a cache.
#include <benchmark/benchmark.h>

#include "ttt/core/random.hpp"
#include "ttt/layers/attention/call_backward.hpp"

namespace {

using namespace ttt;

constexpr Index width = 64;

/// Rows of a call of one key/value head and group of one, and their gradients, filled with numbers of order one.
struct Rows {
  Buffer<float> memory;
  AttentionRows<float> values, gradients;

  Rows(Index tokens, Index heads) : memory(tokens * heads * (8 * width + 1)) {
    const RandomStream random(1, "rows");
    for (Index i = 0; i < memory.size(); ++i)
      memory[i] = static_cast<float>(random.normal(static_cast<std::uint64_t>(i)));
    const auto part = [&](Index i) {
      return MatrixView<float>(memory.data() + i * tokens * heads * width, tokens, heads * width);
    };
    values = {part(0), part(1), part(2), part(3), {memory.data() + 8 * tokens * heads * width, tokens, heads}};
    gradients = {part(4), part(5), part(6), part(7), {}};
  }
};

void attend(const AttentionHeads& layout, const Segment<State<float>>& segment, const Rows& rows, bool backward,
            Context& context) {
  const Arena::Frame frame(context.scratch());
  AttentionPiece<float> piece;
  const auto pieces = plan_pieces<float>({&segment, 1}, plan_segments<State<float>>({&segment, 1}, context.scratch()),
                                         layout.shape, {&piece, 1});
  const std::span<const AttentionPiece<float>> plan(pieces);
  detail::store_rows(layout, pieces, rows.values, context);
  detail::attend(layout, plan, rows.values, context);
  if (backward) detail::attend_backward(layout, plan, rows.values, rows.gradients, {}, context);
}

/// Pairs of query and key that the mask leaves: Σ_i min(i + 1, seen) over the queries i < tokens, of which each sees so
/// many keys at most, in its window and sinks.
double visible_pairs(Index tokens, Index seen) {
  const Index growing = std::min(tokens, seen);  // queries that see everything before them
  return static_cast<double>(growing * (growing + 1) / 2 + (tokens - growing) * seen);
}

/// A State with room for `capacity` tokens of so many heads.
State<float> cached(Index position, Index capacity, Index heads) {
  State<float> state;
  state.position = position;
  state.values = Buffer<float>(rules::KeyValueCache<float>::size(capacity, heads, width));
  return state;
}

/// Arguments: tokens T, window (0 for none), sinks, 1 for a backward too. FLOPs count what the mask leaves, the
/// backward twice.
void sequence(benchmark::State& bench) {
  const Index tokens = bench.range(0), window = bench.range(1) == 0 ? rules::unlimited_window : bench.range(1);
  const Index sinks = bench.range(2);
  const bool backward = bench.range(3) != 0;
  const AttentionHeads layout{{width, 1, window, sinks}, 1};
  const Rows rows(tokens, 1);
  State<float> state = cached(0, tokens, 1);
  const Segment<State<float>> segment{tokens, &state, true};
  Context context;
  for (auto _ : bench) attend(layout, segment, rows, backward, context);
  const double flops = 4.0 * width * visible_pairs(tokens, window + sinks) * (backward ? 3 : 1);
  bench.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(sequence)
    ->ArgNames({"T", "window", "sinks", "backward"})
    ->ArgsProduct({{512, 2048, 8192}, {0, 256}, {0}, {0, 1}})
    ->ArgsProduct({{2048}, {256}, {4}, {0, 1}})
    ->Unit(benchmark::kMillisecond);

/// One token of twelve heads behind a cache of so many: bytes are what the cache holds.
void decode(benchmark::State& bench) {
  const Index tokens = bench.range(0), heads = 12;
  const AttentionHeads layout{{width, 1}, heads};
  const Rows rows(1, heads);
  State<float> state = cached(tokens, tokens + 1, heads);
  for (Index i = 0; i < state.values.size(); ++i) state.values[i] = static_cast<float>(i % 97) / 97;
  const Segment<State<float>> segment{1, &state, false};
  Context context;
  for (auto _ : bench) attend(layout, segment, rows, false, context);
  bench.SetBytesProcessed(bench.iterations() * 2 * tokens * heads * width * static_cast<Index>(sizeof(float)));
}
BENCHMARK(decode)->ArgName("cached")->RangeMultiplier(8)->Range(1024, 32768)->Unit(benchmark::kMicrosecond);

}  // namespace
