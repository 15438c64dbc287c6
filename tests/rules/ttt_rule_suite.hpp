// SPDX-License-Identifier: MIT
/// @file
/// What any TttRule must do, on one head, without projections around it.
#pragma once

#include <vector>

#include "support/catch.hpp"
#include "support/random_matrix.hpp"
#include "ttt/rules/ttt/sequence.hpp"

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
    return {{norm_.view().row(0), norm_.view().row(1), Scalar(1e-6)}, {factors.data(), rule.mini_batch()}};
  }
  rules::TttRows<const Scalar> rows() const {
    const Index tokens = rows_.view().rows() / 3;
    return {rows_.view().rows(0, tokens),
            rows_.view().rows(tokens, tokens),
            rows_.view().rows(2 * tokens, tokens),
            {rates.data(), tokens}};
  }
  /// Output of the whole sequence in pieces of the given lengths, and the state it leaves.
  template <class Arch>
  std::pair<Values, Values> read(rules::TttForm form, const std::vector<Index>& pieces) const {
    const Index tokens = rows_.view().rows() / 3;
    Values after = state, out(static_cast<std::size_t>(tokens * rule.head_width()));
    const MatrixView<Scalar> view(out.data(), tokens, rule.head_width());
    Arena scratch;
    Index first = 0;
    for (const Index piece : pieces) {
      const rules::PartList parts(first % rule.mini_batch(), piece, rule.mini_batch());
      rules::forward_sequence<Arch>(rule, form, head(), after.data(), parts, rows().part(first, piece),
                                    view.rows(first, piece), {}, static_cast<const Scalar*>(nullptr), nullptr, scratch);
      first += piece;
    }
    return {out, after};
  }

  Rule rule;

 private:
  testing::Matrix<Scalar> rows_, norm_;

 public:
  Values state, rates, factors;
};

template <class Values>
double distance(const Values& a, const Values& b) {
  REQUIRE(a.size() == b.size());
  double largest = 1, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return difference / largest;
}

/// Every length up to 2K + 1, in two pieces.
template <class Rule>
void dual_equals_primal(Index head_width, Index mini_batch, double tolerance) {
  for (Index tokens = 1; tokens <= 2 * mini_batch + 1; ++tokens) {
    const Bench<Rule> bench(head_width, mini_batch, tokens);
    for (Index first = 0; first <= tokens; ++first) {
      const std::vector<Index> pieces{first, tokens - first};
      const auto dual = bench.template read<simd::Native>(rules::TttForm::dual, pieces);
      const auto primal = bench.template read<simd::Native>(rules::TttForm::primal, {tokens});
      INFO(first << " + " << tokens - first << " tokens");
      REQUIRE(distance(dual.first, primal.first) < tolerance);
      REQUIRE(distance(dual.second, primal.second) < tolerance);
    }
  }
}

template <class Rule>
void packs_equal_scalars(Index head_width, Index mini_batch, double tolerance) {
  const Index tokens = 3 * mini_batch + 2;
  const Bench<Rule> bench(head_width, mini_batch, tokens);
  for (const auto form : {rules::TttForm::dual, rules::TttForm::primal}) {
    const auto packs = bench.template read<simd::Native>(form, {tokens});
    const auto scalars = bench.template read<simd::Generic>(form, {tokens});
    CHECK(distance(packs.first, scalars.first) < tolerance);
    CHECK(distance(packs.second, scalars.second) < tolerance);
  }
}

/// η = 0: the weights stay, bit for bit.
template <class Rule>
void zero_rate_is_static(Index head_width, Index mini_batch) {
  Bench<Rule> bench(head_width, mini_batch, 2 * mini_batch);
  std::fill(bench.rates.begin(), bench.rates.end(), 0);
  CHECK(bench.template read<simd::Native>(rules::TttForm::dual, {2 * mini_batch}).second == bench.state);
}

/// All gradients of the tokens from `phase` on, twice from one forward, which read `state` before; and whether the
/// backward left what the forward kept as it was.
template <class Rule, class Scalar = typename Rule::Scalar>
std::array<std::vector<Scalar>, 2> gradients(const Bench<Rule>& bench, std::vector<Scalar> state, Index phase,
                                             Index tokens, Index interval) {
  const auto size = [](Index count) { return static_cast<std::size_t>(count); };
  const Rule& rule = bench.rule;
  const Index width = rule.head_width(), mini_batch = rule.mini_batch();
  const rules::PartList parts(phase, tokens, mini_batch);
  const auto rows = bench.rows().part(phase, tokens);
  const auto d_out = testing::random_matrix<Scalar>(tokens, width, 9);
  rules::TttCheckpoints<Scalar> checkpoints{nullptr, interval, rule.state_size(), rule.weight_size(), rule.z_width()};
  std::vector<Scalar> memory(size(checkpoints.size(parts))), out(size(tokens * width));
  checkpoints.data = memory.data();
  Arena scratch;
  rules::forward_sequence<simd::Native>(rule, rules::TttForm::dual, bench.head(), state.data(), parts, rows,
                                        {out.data(), tokens, width}, checkpoints, static_cast<const Scalar*>(nullptr),
                                        nullptr, scratch);
  const std::vector<Scalar> left = memory;
  std::array<std::vector<Scalar>, 2> results;
  for (auto& gradient : results) {
    gradient.resize(size(rule.state_size() + (3 * tokens + 2) * width + tokens + mini_batch));
    Scalar* place = gradient.data() + rule.state_size();
    const auto take = [&](Index count) { return std::exchange(place, place + count); };
    const auto matrix = [&] { return MatrixView<Scalar>(take(tokens * width), tokens, width); };
    rules::TttRows<Scalar> d_rows;
    d_rows.queries = matrix();
    d_rows.keys = matrix();
    d_rows.values = matrix();
    d_rows.rates = {take(tokens), tokens};
    const kernels::NormRowsGradient<Scalar> d_norm{take(width), take(width)};
    rules::backward_sequence<simd::Native>(rule, bench.head(), parts, rows, d_out.view(), checkpoints, gradient.data(),
                                           d_rows, {d_norm, {take(mini_batch), mini_batch}}, scratch);
  }
  CHECK(memory == left);
  return results;
}

/// Same bits of every gradient with fast weights kept of every part, of every third, and only of the first, when the
/// first mini-batch is read from its start or is open already; and of a second backward.
template <class Rule>
void checkpoints_change_nothing(Index head_width, Index mini_batch) {
  using Scalar = typename Rule::Scalar;
  const Index tokens = 4 * mini_batch + 2;
  const Bench<Rule> bench(head_width, mini_batch, tokens);
  for (const Index phase : {Index{0}, std::min<Index>(3, mini_batch - 1)}) {
    const auto state = bench.template read<simd::Native>(rules::TttForm::dual, {phase}).second;
    std::vector<std::vector<Scalar>> results;
    for (const Index interval : {1, 3, 100})
      for (auto& result : gradients(bench, state, phase, tokens - phase, interval))
        results.push_back(std::move(result));
    for (const auto& result : results) CHECK(result == results[0]);
    CHECK(std::any_of(results[0].begin(), results[0].end(), [](Scalar value) { return value != 0; }));
  }
}

}  // namespace ttt::rule_suite
