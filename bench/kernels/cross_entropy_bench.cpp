// SPDX-License-Identifier: MIT
// Rows as wide as a vocabulary: characters, and the tokens of a language model.
#include "ttt/kernels/cross_entropy.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

void measure(benchmark::State& state, bool has_gradient) {
  bench::RowOperands operands(state);
  const auto logits = operands.matrix();
  const auto d_logits = has_gradient ? operands.matrix() : MatrixView<float>();
  operands.measure((has_gradient ? 2 : 1) * operands.size(), [&] {
    for (Index r = 0; r < logits.rows(); ++r)
      benchmark::DoNotOptimize(kernels::cross_entropy_row(logits.row(r), r, logits.columns(),
                                                          has_gradient ? d_logits.row(r) : nullptr, 1.0F));
  });
}

void cross_entropy(benchmark::State& state) { measure(state, false); }
void cross_entropy_with_gradient(benchmark::State& state) { measure(state, true); }

void vocabularies(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"rows", "width"})->Unit(benchmark::kMicrosecond)->UseManualTime();
  bench->Args({16, 256})->Args({64, 32000});
}

BENCHMARK(cross_entropy)->Apply(vocabularies);
BENCHMARK(cross_entropy_with_gradient)->Apply(vocabularies);

}  // namespace
