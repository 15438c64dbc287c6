// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_linear/ttt_linear.hpp"

#include "fused_primal.hpp"
#include "ttt_rule_bench.hpp"

namespace {

using namespace ttt;

template <class Rule, rules::TttForm form = rules::TttForm::dual>
void sequence(benchmark::State& bench) {
  const auto flops = [](double width, double mini_batch) { return width * (6 * width + 4 * mini_batch); };
  bench::rule_sequence<Rule>(bench, flops, form);
}

void width_64(benchmark::internal::Benchmark* bench) { bench::rule_sizes(bench, 64); }
void width_32(benchmark::internal::Benchmark* bench) { bench::rule_sizes(bench, 32); }

BENCHMARK_TEMPLATE(sequence, rules::TttLinear<float, 64, 16>)->Apply(width_64);
BENCHMARK_TEMPLATE(sequence, rules::TttLinear<float, 64, 16>, rules::TttForm::primal)
    ->Name("sequence/primal, spelled out")
    ->Apply(width_64);
BENCHMARK_TEMPLATE(sequence, bench::FusedPrimal<float, 64, 16>, rules::TttForm::primal)
    ->Name("sequence/primal, fused")
    ->Apply(width_64);
BENCHMARK_TEMPLATE(sequence, rules::TttLinear<float>)->Apply(width_64)->Apply(width_32);

}  // namespace
