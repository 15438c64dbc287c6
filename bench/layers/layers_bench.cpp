// SPDX-License-Identifier: MIT
// Layers with their projections, one sequence of T tokens: forward, and forward + backward.
#include <benchmark/benchmark.h>

#include "ttt/layers/attention.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"

namespace {

using namespace ttt;

template <class Definition>
typename Definition::Config config(Index width) {
  typename Definition::Config result;
  result.width = width;
  result.heads = width / 64;
  return result;
}

/// Arguments: width C, tokens T, 1 for a backward too.
template <class Definition>
void sequence(benchmark::State& bench) {
  using State = typename Definition::State;
  const Index width = bench.range(0), tokens = bench.range(1);
  const bool backward = bench.range(2) != 0;
  const Layer<Definition> layer(config<Definition>(width));
  ParameterStore<typename Definition::Parameters> gradients(layer.definition().make_parameters());
  Buffer<float> x(tokens * width), y(tokens * width), d_x(tokens * width);
  const RandomStream random(1, "x");
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<float>(random.normal(static_cast<std::uint64_t>(i)));
  State state = layer.initial_state(tokens);
  const Segment<State> segment{tokens, &state, true};
  typename Definition::Record record;
  Context context;
  for (auto _ : bench) {
    layer.definition().forward(layer.parameters(), {x.data(), tokens, width}, {&segment, 1}, {y.data(), tokens, width},
                               context, backward ? &record : nullptr);
    if (backward)
      layer.definition().backward(layer.parameters(), record, {y.data(), tokens, width}, {d_x.data(), tokens, width},
                                  gradients.views(), {}, context);
  }
  bench.SetItemsProcessed(bench.iterations() * tokens);
  bench.counters["state_bytes"] = static_cast<double>(layer.definition().state_bytes(tokens));
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"C", "T", "backward"})->Unit(benchmark::kMillisecond);
  for (const Index width : {256, 768})
    for (const Index tokens : {512, 2048})
      for (const Index backward : {0, 1}) bench->Args({width, tokens, backward});
}

BENCHMARK_TEMPLATE(sequence, TttLinear<float>)->Apply(sizes);
BENCHMARK_TEMPLATE(sequence, TttLinear<float, 64, 16>)->Apply(sizes);
BENCHMARK_TEMPLATE(sequence, TttMlp<float>)->Apply(sizes);
BENCHMARK_TEMPLATE(sequence, Attention<float>)->Apply(sizes);

}  // namespace
