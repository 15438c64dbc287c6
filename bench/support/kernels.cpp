// SPDX-License-Identifier: MIT
#include "support/kernels.hpp"

#include <algorithm>
#include <limits>

#include "support/bench.hpp"
#include "ttt/kernels/simd.hpp"

namespace bench {

namespace {

/// Mean seconds of so many calls: one alone may take less than reading the clock.
double seconds_of_each(Index calls, FunctionRef<void()> call) {
  const double seconds = seconds_of([&] {
    for (Index i = 0; i < calls; ++i) {
      call();
      benchmark::ClobberMemory();
    }
  });
  return seconds / static_cast<double>(calls);
}

/// Calls until there are enough for the case, in batches; returns the mean seconds of a call in the fastest batch.
/// `before_each` runs before a batch and does not count.
double fastest_batch(benchmark::State& state, Index calls, FunctionRef<void()> call, FunctionRef<void()> before_each) {
  double best = std::numeric_limits<double>::infinity();
  while (state.KeepRunningBatch(calls)) {
    before_each();
    const double seconds = seconds_of_each(calls, call);
    state.SetIterationTime(seconds * static_cast<double>(calls));
    best = std::min(best, seconds);
  }
  state.counters["seconds"] = best;
  return best;
}

void plain_copy(const float* from, float* to, Index count) {
  ttt::simd::for_each_pack<float, ttt::simd::Native>(
      count, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA { P::load(from + i).store(to + i); });
}

}  // namespace

MatrixView<float> Operands::matrix(Index rows, Index columns) {
  return {values_.emplace_back(random_values(rows * columns)).data(), rows, columns};
}

void RowOperands::measure(Index moved, FunctionRef<void()> call) {
  constexpr Index floats_of_batch = Index{1} << 21;  // enough to bring the operands back into their cache after a copy
  const Index calls = std::max<Index>(1, floats_of_batch / moved);
  const Workers pinned(1);
  Operands operands;
  const auto from = operands.matrix(1, moved / 2), to = operands.matrix(1, moved / 2);
  double copying = std::numeric_limits<double>::infinity();
  const auto copy = [&] {
    const double seconds = seconds_of_each(calls, [&] { plain_copy(from.data(), to.data(), from.columns()); });
    copying = std::min(copying, seconds);
  };
  const double seconds = fastest_batch(state_, calls, call, copy);
  state_.counters["elements/s"] = static_cast<double>(size()) / seconds;
  state_.counters["bytes/s"] = static_cast<double>(moved) * sizeof(float) / seconds;
  state_.counters["of_copy"] = copying / seconds;
}

void measure_product(benchmark::State& state, double flops, FunctionRef<void()> call) {
  constexpr double flops_of_batch = 1 << 23;
  const double large = peaks(1).ours;
  const Workers pinned(1);
  const Index calls = std::max<Index>(1, static_cast<Index>(flops_of_batch / flops));
  const double rate = flops / fastest_batch(state, calls, call, [] {});
  state.counters["FLOP/s"] = rate;
  state.counters["of_large_product"] = rate / large;
}

}  // namespace bench
