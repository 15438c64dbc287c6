// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

#include "ttt_rule_bench.hpp"

namespace {

using namespace ttt;

template <class Rule>
void sequence(benchmark::State& bench) {
  bench::rule_sequence<Rule>(bench,
                             [](double width, double mini_batch) { return width * (56 * width + 20 * mini_batch); });
}

void width_64(benchmark::internal::Benchmark* bench) { bench::rule_sizes(bench, 64); }
void width_32(benchmark::internal::Benchmark* bench) { bench::rule_sizes(bench, 32); }

BENCHMARK_TEMPLATE(sequence, rules::TttMlp<float, 64, 16>)->Apply(width_64);
BENCHMARK_TEMPLATE(sequence, rules::TttMlp<float>)->Apply(width_64)->Apply(width_32);

}  // namespace
