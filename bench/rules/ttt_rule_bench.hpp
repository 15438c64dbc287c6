// SPDX-License-Identifier: MIT
// One head of a TTT rule over T tokens. FLOP/s counts the products of the paper's dual form, twice as many backward.
// The backward is that of the dual form, whichever form went forward: the gradients are the same.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>

#include "ttt/core/random.hpp"
#include "ttt/rules/ttt/sequence.hpp"

namespace ttt::bench {

/// Whether two outputs differ by rounding only.
template <class Scalar>
bool agree(MatrixView<Scalar> a, MatrixView<Scalar> b) {
  Scalar largest = 0, difference = 0;
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) {
      largest = std::max(largest, std::abs(a(r, c)));
      difference = std::max(difference, std::abs(a(r, c) - b(r, c)));
    }
  return difference <= Scalar(1e-4) * largest;
}

/// Arguments: head width D, mini-batch K, tokens T, 1 for a backward too. `flops(D, K)` are those of a token's forward.
template <class Rule, class Flops>
void rule_sequence(benchmark::State& bench, Flops flops, rules::TttForm form = rules::TttForm::dual) {
  using Scalar = typename Rule::Scalar;
  const Index width = bench.range(0), mini_batch = bench.range(1), tokens = bench.range(2);
  const bool backward = bench.range(3) != 0;
  const Rule rule(width, mini_batch);
  const rules::PartList parts(0, tokens, mini_batch);
  rules::TttCheckpoints<Scalar> checkpoints{nullptr, 4, rule.state_size(), rule.weight_size(), rule.z_width()};
  Buffer<Scalar> start(rule.state_size()), state(rule.state_size()), d_state(rule.state_size());
  Buffer<Scalar> x(4 * tokens * width), y(4 * tokens * width), rates(tokens), d_rates(tokens), factors(mini_batch);
  Buffer<Scalar> d_factors(mini_batch), norm(2 * width), d_norm(2 * width), held(checkpoints.size(parts));
  const RandomStream random(1, "rule");
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<Scalar>(random.normal(static_cast<std::uint64_t>(i)));
  for (Index i = 0; i < rule.weight_size(); ++i) start[i] = Scalar(0.02) * x[i % x.size()];
  for (Index c = 0; c < width; ++c) norm[c] = 1;
  for (Index t = 0; t < tokens; ++t) rates[t] = Scalar(0.5) / static_cast<Scalar>(width);
  for (Index r = 0; r < mini_batch; ++r) factors[r] = Scalar(1) / static_cast<Scalar>(r + 1);
  if (backward) checkpoints.data = held.data();

  const auto block = [&](Buffer<Scalar>& of, Index n) {
    return MatrixView<Scalar>(of.data() + n * tokens * width, tokens, width);
  };
  const rules::TttHead<Scalar> head{{norm.data(), norm.data() + width, width, Scalar(1e-6)},
                                    {factors.data(), mini_batch}};
  const rules::TttRows<const Scalar> rows{block(x, 0), block(x, 1), block(x, 2), {rates.data(), tokens}};
  const rules::TttRows<Scalar> d_rows{block(y, 0), block(y, 1), block(y, 2), {d_rates.data(), tokens}};
  const rules::TttHeadGradient<Scalar> d_head{{d_norm.data(), d_norm.data() + width}, {d_factors.data(), mini_batch}};
  Arena scratch;
  const auto forward = [&](rules::TttForm with, MatrixView<Scalar> out) {
    state = start;
    rules::forward_sequence<simd::Native>(rule, with, head, state.data(), parts, rows, out, checkpoints,
                                          static_cast<const Scalar*>(nullptr), nullptr, scratch);
  };
  forward(rules::TttForm::dual, block(y, 2));
  forward(form, block(y, 3));
  if (!agree(block(y, 2), block(y, 3))) return bench.SkipWithError("the two forms give different outputs");
  for (auto _ : bench) {
    forward(form, block(y, 3));
    if (!backward) continue;
    d_state.clear();
    rules::backward_sequence<simd::Native>(rule, head, parts, rows, MatrixView<const Scalar>(block(x, 3)), checkpoints,
                                           d_state.data(), d_rows, d_head, scratch);
  }
  bench.SetItemsProcessed(bench.iterations() * tokens);
  const double count = flops(static_cast<double>(width), static_cast<double>(mini_batch)) * (backward ? 3 : 1);
  bench.counters["FLOP/s"] =
      benchmark::Counter(count * static_cast<double>(tokens * bench.iterations()), benchmark::Counter::kIsRate);
}

inline void rule_sizes(benchmark::internal::Benchmark* bench, Index width) {
  bench->ArgNames({"D", "K", "T", "backward"})->Unit(benchmark::kMicrosecond);
  for (const Index backward : {0, 1}) bench->Args({width, 16, 2048, backward});
}

}  // namespace ttt::bench
