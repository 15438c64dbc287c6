// SPDX-License-Identifier: MIT
// One head of a TTT rule over T tokens. FLOP/s counts the products of the paper's dual form, twice as many backward.
// The backward is that of the dual form, whichever form went forward: the gradients are the same.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "support/random.hpp"
#include "ttt/rules/ttt/sequence.hpp"

namespace bench {

using ttt::Arena;
using ttt::Buffer;
using ttt::Index;
using ttt::MatrixView;
namespace rules = ttt::rules;

/// What reading a sequence and going back leaves.
template <class Scalar>
struct RuleResults {
  Buffer<Scalar> out, state, d_queries, d_keys, d_values, d_rates, d_state, d_norm, d_factors;

  auto each() const {
    return std::array{&out, &state, &d_queries, &d_keys, &d_values, &d_rates, &d_state, &d_norm, &d_factors};
  }
};

/// Whether two results differ by rounding only; one that is all zeros or not finite agrees with nothing.
template <class Scalar>
bool agree(const RuleResults<Scalar>& a, const RuleResults<Scalar>& b) {
  for (std::size_t k = 0; k < a.each().size(); ++k) {
    const Buffer<Scalar>&one = *a.each()[k], &other = *b.each()[k];
    Scalar largest = 0, difference = 0;
    for (Index i = 0; i < one.size(); ++i) largest = std::max(largest, std::abs(one[i]));
    for (Index i = 0; i < one.size(); ++i) {
      if (!std::isfinite(one[i]) || !std::isfinite(other[i])) return false;
      difference = std::max(difference, std::abs(one[i] - other[i]));
    }
    if (largest == 0 || difference > Scalar(1e-4) * largest) return false;
  }
  return true;
}

/// A head with rows of variance one, and the memory for a forward and a backward.
template <class Rule>
class RuleSequence {
 public:
  using Scalar = typename Rule::Scalar;
  using Sequence = rules::TttSequence<Rule>;
  using Record = typename Sequence::Record;

  RuleSequence(Index width, Index mini_batch, Index tokens)
      : rule_(width, mini_batch),
        tokens_(tokens),
        rows_(random_values(4 * tokens * width)),
        start_(rule_.state_size()),
        rates_(tokens),
        factors_(mini_batch),
        norm_(2 * width),
        record_(Sequence(rule_).record(0, tokens, held_)) {
    for (Index i = 0; i < rule_.weight_size(); ++i) start_[i] = Scalar(0.02) * rows_[i % rows_.size()];
    std::fill_n(norm_.data(), width, Scalar(1));
    std::fill_n(rates_.data(), tokens, Scalar(0.5) / static_cast<Scalar>(width));
    for (Index r = 0; r < mini_batch; ++r) factors_[r] = Scalar(1) / static_cast<Scalar>(r + 1);
    for (auto* block : {&results.out, &results.d_queries, &results.d_keys, &results.d_values})
      *block = Buffer<Scalar>(tokens * width);
    for (auto* state : {&results.state, &results.d_state}) *state = start_;
    results.d_rates = rates_;
    results.d_norm = norm_;
    results.d_factors = factors_;
  }

  /// Keeps what `backward` needs, if wanted.
  void forward(rules::TttForm form, bool keep) {
    results.state = start_;
    Sequence(rule_, form)
        .template forward<ttt::simd::Native>(input(), results.state.data(), view(results.out),
                                             keep ? record_ : Record{}, scratch_);
  }
  void backward() {
    for (auto* sum : {&results.d_state, &results.d_norm, &results.d_factors}) sum->clear();
    const typename Sequence::InputGradient d_input{
        {{results.d_norm.data(), results.d_norm.data() + rule_.head_width()},
         {results.d_factors.data(), rule_.mini_batch()}},
        {view(results.d_queries), view(results.d_keys), view(results.d_values), {results.d_rates.data(), tokens_}}};
    Sequence(rule_).template backward<ttt::simd::Native>(input(), record_, row_block(3), results.d_state.data(),
                                                         d_input, scratch_);
  }

  RuleResults<Scalar> results;

 private:
  MatrixView<Scalar> view(Buffer<Scalar>& of) const { return {of.data(), tokens_, rule_.head_width()}; }
  MatrixView<const Scalar> row_block(Index n) const {
    const Index size = tokens_ * rule_.head_width();
    return {rows_.data() + n * size, tokens_, rule_.head_width()};
  }
  typename Sequence::Input input() const {
    const Index width = rule_.head_width();
    return {{{norm_.data(), norm_.data() + width, Scalar(1e-6)}, {factors_.data(), rule_.mini_batch()}},
            {row_block(0), row_block(1), row_block(2), {rates_.data(), tokens_}}};
  }

  Rule rule_;
  Index tokens_;
  Buffer<Scalar> rows_, start_, rates_, factors_, norm_;
  Arena held_, scratch_;
  Record record_;
};

/// Arguments: head width D, mini-batch K, tokens T, 1 for a backward too. `flops(D, K)` are those of a token's forward.
/// Before anything is measured, both forms must give the same, forward and backward.
template <class Rule, class Flops>
void rule_sequence(benchmark::State& bench, Flops flops, rules::TttForm form = rules::TttForm::dual) {
  using rules::TttForm;
  const Index width = bench.range(0), mini_batch = bench.range(1), tokens = bench.range(2);
  const bool backward = bench.range(3) != 0;
  RuleSequence<Rule> sequence(width, mini_batch, tokens);
  const auto results = [&](TttForm with) {
    sequence.forward(with, true);
    sequence.backward();
    return sequence.results;
  };
  const auto other = form == TttForm::dual ? TttForm::primal : TttForm::dual;
  if (!agree(results(other), results(form))) return bench.SkipWithError("the two forms give different results");
  for (auto _ : bench) {
    sequence.forward(form, backward);
    if (backward) sequence.backward();
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

}  // namespace bench
