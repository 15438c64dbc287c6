// SPDX-License-Identifier: MIT
/// @file
/// The delta family as the suite of rules is told of it.
#pragma once

#include <cmath>
#include <vector>

#include "suites/sequence_rule/numbers.hpp"
#include "ttt/rules/delta/delta.hpp"

namespace ttt::rule_tests {

template <class Scalar, rules::DeltaDecay decay, bool erases>
struct DeltaModel {
  using Rule = rules::Delta<Scalar, decay, erases>;

  Rule rule;
  Index chunk = rules::delta_chunk;

  DeltaModel(Index keys, Index values) : rule(keys, values, 2) {}

  Index out_width() const { return rule.value_width(); }
  Index drawn_state() const { return rule.state_size(); }
  Rule at_interval(Index interval) const { return {rule.key_width(), rule.value_width(), interval}; }

  /// Rows of length one or so, as the layers have them, so that the state stays of order one.
  std::vector<suites::RuleColumns> rows() const {
    const Index keys = rule.key_width();
    const double unit = 1 / std::sqrt(static_cast<double>(keys));
    std::vector<suites::RuleColumns> all{{"q", keys, unit}, {"c", keys, unit}, {"v", rule.value_width()}};
    if (erases) all.push_back({"e", keys, unit});
    if (rule.decay_width() > 0) all.push_back({"g", rule.decay_width(), 0.3, -1, true});
    return all;
  }
  std::vector<suites::RuleColumns> shared() const { return {}; }

  template <class Element>
  rules::DeltaRows<Element> rows_of(const std::vector<MatrixView<Element>>& views) const {
    using View = MatrixView<Element>;
    return {views[0], erases ? views[3] : View(), views[1], views[2], rule.decay_width() > 0 ? views.back() : View()};
  }
  rules::NothingShared shared_of(const std::vector<MatrixView<const Scalar>>&) const { return {}; }

  /// S̃ = Diag(e^g) S, u = v − S̃ᵀ e, S = S̃ + c uᵀ, o = Sᵀ q.
  suites::RuleAnswer<double> reference(const suites::RuleNumbers<double>& numbers) const {
    const auto& [q, c, v] = std::tie(numbers.rows[0], numbers.rows[1], numbers.rows[2]);
    const auto &e = numbers.rows[erases ? 3 : 0], &g = numbers.rows.back();
    const Index keys = rule.key_width(), values = rule.value_width();
    suites::RuleAnswer<double> answer{{numbers.tokens(), values}, numbers.state};
    const auto state = [&](Index d, Index n) -> double& { return answer.state(0, d * values + n); };
    for (Index t = 0; t < numbers.tokens(); ++t) {
      for (Index d = 0; d < keys && rule.decay_width() > 0; ++d)
        for (Index n = 0; n < values; ++n) state(d, n) *= std::exp(g(t, rule.decay_width() == 1 ? 0 : d));
      for (Index n = 0; n < values; ++n) {
        double learned = v(t, n);
        for (Index d = 0; d < keys && erases; ++d) learned -= e(t, d) * state(d, n);
        for (Index d = 0; d < keys; ++d) {
          state(d, n) += c(t, d) * learned;
          answer.out(t, n) += q(t, d) * state(d, n);
        }
      }
    }
    return answer;
  }
};

/// Calls `body.operator()<decay, erases>()` for every instance of the family.
template <class Body>
void for_each_delta(Body&& body) {
  using rules::DeltaDecay;
  body.template operator()<DeltaDecay::none, false>();
  body.template operator()<DeltaDecay::none, true>();
  body.template operator()<DeltaDecay::one, false>();
  body.template operator()<DeltaDecay::one, true>();
  body.template operator()<DeltaDecay::by_row, false>();
  body.template operator()<DeltaDecay::by_row, true>();
}

}  // namespace ttt::rule_tests
