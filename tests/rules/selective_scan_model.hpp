// SPDX-License-Identifier: MIT
/// @file
/// The selective scan as the suite of rules is told of it.
#pragma once

#include <cmath>
#include <vector>

#include "suites/sequence_rule/numbers.hpp"
#include "ttt/rules/selective_scan/selective_scan.hpp"

namespace ttt::rule_tests {

template <class Scalar>
struct ScanModel {
  using Rule = rules::SelectiveScan<Scalar>;

  Rule rule;
  Index chunk = rules::detail::scan_tokens;
  double forms_tolerance = std::is_same_v<Scalar, float> ? 1e-5 : 1e-13;

  ScanModel(Index channels, Index states) : rule(channels, states, 2) {}

  Index out_width() const { return rule.channels(); }
  Index drawn_state() const { return rule.state_size(); }
  Rule at_interval(Index interval) const { return {rule.channels(), rule.states(), interval}; }

  std::vector<suites::RuleColumns> rows() const {
    return {{"x", rule.channels()}, {"step", rule.channels(), 0.5, 1}, {"B", rule.states()}, {"C", rule.states()}};
  }
  std::vector<suites::RuleColumns> shared() const { return {{"A", rule.state_size(), 1, -1, true}}; }

  template <class Element>
  rules::ScanRows<Element> rows_of(const std::vector<MatrixView<Element>>& views) const {
    return {views[0], views[1], views[2], views[3]};
  }
  MatrixView<const Scalar> shared_of(const std::vector<MatrixView<const Scalar>>& views) const {
    return {views[0].data(), rule.states(), rule.channels()};
  }

  /// h = e^(Δ A) ∘ h + (Δ x) Bᵀ, y = h C.
  suites::RuleAnswer<double> reference(const suites::RuleNumbers<double>& numbers) const {
    const auto& [x, steps, input, output] =
        std::tie(numbers.rows[0], numbers.rows[1], numbers.rows[2], numbers.rows[3]);
    const Index channels = rule.channels();
    suites::RuleAnswer<double> answer{{numbers.tokens(), channels}, numbers.state};
    for (Index t = 0; t < numbers.tokens(); ++t)
      for (Index n = 0; n < rule.states(); ++n)
        for (Index c = 0; c < channels; ++c) {
          double& h = answer.state(0, n * channels + c);
          h = std::exp(steps(t, c) * numbers.shared[0](0, n * channels + c)) * h + steps(t, c) * x(t, c) * input(t, n);
          answer.out(t, c) += output(t, n) * h;
        }
    return answer;
  }
};

}  // namespace ttt::rule_tests
