// SPDX-License-Identifier: MIT
/// @file
/// What any TttRule must do, on one head, without projections around it.
#pragma once

#include <vector>

#include "rules/ttt_model.hpp"
#include "suites/sequence_rule.hpp"

namespace ttt::rule_suite {

/// One head with random weights and rows.
template <class Rule>
struct Bench {
  using Scalar = typename Rule::Scalar;
  using Values = std::vector<Scalar>;

  Bench(Index head_width, Index mini_batch, Index tokens)
      : rule(head_width, mini_batch),
        rows_(testing::random_matrix<Scalar>(3 * tokens, head_width, 1)),
        norm_(testing::random_matrix<Scalar>(2, head_width, 2)),
        state(static_cast<std::size_t>(rule.state_size()), Scalar(0)),
        rates(static_cast<std::size_t>(tokens)),
        factors(static_cast<std::size_t>(mini_batch)) {
    const RandomStream random(3, "rule bench");
    for (std::size_t i = 0; i < static_cast<std::size_t>(rule.weight_size()); ++i)
      state[i] = static_cast<Scalar>(0.3 * random.normal(i));
    for (std::size_t i = 0; i < rates.size(); ++i) rates[i] = static_cast<Scalar>(0.3 * random.uniform(1000000 + i));
    for (std::size_t i = 0; i < factors.size(); ++i)
      factors[i] = static_cast<Scalar>(0.5 + random.uniform(2000000 + i));
  }

  rules::TttHead<Scalar> head() const {
    return {{norm_.view().row(0), norm_.view().row(1), Scalar(1e-6)}, {factors.data(), rule.mini_batch()}, order};
  }
  rules::TttRows<const Scalar> rows() const {
    const Index tokens = rows_.view().rows() / 3;
    return {order == rules::TttOrder::simplified ? MatrixView<const Scalar>() : rows_.view().rows(0, tokens),
            rows_.view().rows(tokens, tokens),
            rows_.view().rows(2 * tokens, tokens),
            {rates.data(), tokens}};
  }
  /// Output of the whole sequence, and the state it leaves.
  std::pair<Values, Values> read() const {
    const Index tokens = rows_.view().rows() / 3;
    Values after = state, out(static_cast<std::size_t>(tokens * rule.head_width()));
    Arena scratch;
    rules::TttSequence(rule).template forward<simd::Native>({head(), rows()}, after.data(),
                                                            {out.data(), tokens, rule.head_width()}, {}, scratch);
    return {out, after};
  }

  Rule rule;

 private:
  testing::Matrix<Scalar> rows_, norm_;

 public:
  Values state, rates, factors;
  rules::TttOrder order = rules::TttOrder::token_inclusive;
};

/// The contracts of a rule, and the formula at widths below and above packs.
template <template <class, Index, Index> class Rule, class Scalar>
void contracts() {
  suites::check_sequence_rule(rule_tests::TttModel<Rule<Scalar, dynamic, dynamic>>(6, 5));
  suites::check_sequence_rule(rule_tests::TttModel<Rule<Scalar, 16, 4>>(16, 4));
  for (const auto& [head_width, mini_batch] : {std::pair{18, 7}, {34, 5}, {4, 1}}) {
    INFO("D " << head_width << ", K " << mini_batch);
    const rule_tests::TttModel<Rule<Scalar, dynamic, dynamic>> model(head_width, mini_batch);
    suites::require(suites::SequenceRuleSuite<Scalar>(model).formula());
  }
}

/// The same for the orders in which no token sees the steps of its own mini-batch.
template <template <class, Index, Index> class Rule, class Scalar>
void contracts_of_exclusive_orders() {
  for (const auto order : {rules::TttOrder::chunk_exclusive, rules::TttOrder::simplified}) {
    INFO("order " << rules::names_of(order)[static_cast<std::size_t>(order)]);
    suites::check_sequence_rule(rule_tests::TttModel<Rule<Scalar, dynamic, dynamic>>(6, 5, order));
    suites::check_sequence_rule(rule_tests::TttModel<Rule<Scalar, 16, 4>>(16, 4, order));
  }
}

/// Outputs of a mini-batch, and of the one after it, when its third token is another.
template <class Rule>
void exclusive_orders_see_whole_mini_batches() {
  for (const auto order :
       {rules::TttOrder::token_inclusive, rules::TttOrder::chunk_exclusive, rules::TttOrder::simplified}) {
    INFO("order " << rules::names_of(order)[static_cast<std::size_t>(order)]);
    Bench<Rule> bench(6, 5, 10);
    bench.order = order;
    const auto before = bench.read().first;
    bench.rates[2] = 0.9;
    const auto after = bench.read().first;
    const auto same = [&](Index t) {
      return std::equal(before.begin() + t * 6, before.begin() + (t + 1) * 6, after.begin() + t * 6);
    };
    const bool inclusive = order == rules::TttOrder::token_inclusive;
    for (Index t = 0; t < 10; ++t) CHECK(same(t) == (t < 2 || (t < 5 && !inclusive)));
  }
}

/// In an exclusive order whatever is learned in a first mini-batch does not show in its answers: they are those of W₀.
template <class Rule>
void first_mini_batch_is_answered_by_the_start() {
  for (const auto order : {rules::TttOrder::chunk_exclusive, rules::TttOrder::simplified}) {
    Bench<Rule> bench(6, 5, 5);
    bench.order = order;
    const auto answers = bench.read().first;
    Arena scratch;
    const auto rows = bench.rows();
    const auto head = bench.head();
    const auto x = order == rules::TttOrder::simplified ? rows.keys : rows.queries;
    std::vector<typename Rule::Scalar> expected(30);
    const auto z = scratch.matrix<typename Rule::Scalar>(5, 6);
    bench.rule.template model<simd::Native>(bench.rule.state(bench.state.data()), x, z, scratch);
    kernels::residual_norm_rows<simd::Native, typename Rule::Scalar>(head.norm, x, z, {expected.data(), 5, 6});
    CHECK(answers == expected);
  }
}

/// η = 0: the weights stay, bit for bit.
template <class Rule>
void zero_rate_is_static(Index head_width, Index mini_batch) {
  Bench<Rule> bench(head_width, mini_batch, 2 * mini_batch);
  std::fill(bench.rates.begin(), bench.rates.end(), 0);
  CHECK(bench.read().second == bench.state);
}

}  // namespace ttt::rule_suite
