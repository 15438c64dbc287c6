// SPDX-License-Identifier: MIT
/// @file
/// A TTT rule as the suite of rules is told of it: the published recurrence (TTT paper, section 2) in plain loops, for
/// any stack of linear maps with GELUs between.
#pragma once

#include <cmath>
#include <vector>

#include "suites/sequence_rule/numbers.hpp"
#include "ttt/rules/ttt/sequence.hpp"
#include "ttt/rules/ttt_linear/ttt_linear.hpp"
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

namespace ttt::rule_tests {

using Row = std::vector<double>;
using Maps = std::vector<rules::FastLinear<double>>;

template <class Scalar, Index D, Index K>
rules::TttLinear<double> in_double(const rules::TttLinear<Scalar, D, K>& rule) {
  return {rule.head_width(), rule.mini_batch()};
}
template <class Scalar, Index D, Index K>
rules::TttMlp<double> in_double(const rules::TttMlp<Scalar, D, K>& rule) {
  return {rule.head_width(), rule.mini_batch()};
}
inline Maps maps_of(const rules::TttLinearState<double>& state) { return {state.map}; }
inline Maps maps_of(const rules::TttMlpState<double>& state) { return {state.first, state.second}; }

/// f(x) = x + LN(z(x)), LN(z) = w ∘ (z − mean) / deviation + b.
struct PlainModel {
  const double *norm_weight, *norm_bias;

  /// x of every map, and z of every map.
  struct Pass {
    std::vector<Row> x, z;
  };
  static double gelu(double x) { return 0.5 * x * (1 + std::tanh(argument(x))); }
  static double slope(double x) {
    const double tanh = std::tanh(argument(x));
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * root * (1 + 3 * 0.044715 * x * x);
  }
  static Pass run(const Maps& maps, Row x) {
    Pass pass;
    for (const auto& map : maps) {
      if (!pass.z.empty()) {
        x = pass.z.back();
        for (double& value : x) value = gelu(value);
      }
      Row z(map.bias.data(), map.bias.data() + map.bias.columns());
      for (std::size_t i = 0; i < x.size(); ++i)
        for (std::size_t o = 0; o < z.size(); ++o)
          z[o] += x[i] * map.weight(static_cast<Index>(i), static_cast<Index>(o));
      pass.x.push_back(x);
      pass.z.push_back(z);
    }
    return pass;
  }
  /// LN(z), and on the way (z − mean) / deviation.
  Row norm(const Row& z, Row& normed, double& deviation) const {
    const auto width = static_cast<double>(z.size());
    double mean = 0, variance = 0;
    for (const double value : z) mean += value / width;
    for (const double value : z) variance += (value - mean) * (value - mean) / width;
    deviation = std::sqrt(variance + 1e-6);
    normed.resize(z.size());
    Row result(z.size());
    for (std::size_t i = 0; i < z.size(); ++i) {
      normed[i] = (z[i] - mean) / deviation;
      result[i] = norm_weight[i] * normed[i] + norm_bias[i];
    }
    return result;
  }
  /// ∂/∂z ½‖LN(z) − (v − k)‖² of the last map, then of those before it.
  std::vector<Row> gradients(const Maps& maps, const Pass& pass, const Row& k, const Row& v) const {
    Row normed;
    double deviation, mean = 0, projection = 0;
    Row d = norm(pass.z.back(), normed, deviation);
    const auto width = static_cast<double>(d.size());
    for (std::size_t i = 0; i < d.size(); ++i) {
      d[i] = (d[i] - (v[i] - k[i])) * norm_weight[i];
      mean += d[i] / width;
      projection += d[i] * normed[i] / width;
    }
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = (d[i] - mean - normed[i] * projection) / deviation;
    std::vector<Row> all(maps.size(), d);
    for (std::size_t m = maps.size() - 1; m-- > 0;) {
      all[m].assign(pass.z[m].size(), 0);
      for (std::size_t i = 0; i < all[m].size(); ++i) {
        for (std::size_t o = 0; o < all[m + 1].size(); ++o)
          all[m][i] += maps[m + 1].weight(static_cast<Index>(i), static_cast<Index>(o)) * all[m + 1][o];
        all[m][i] *= slope(pass.z[m][i]);
      }
    }
    return all;
  }

 private:
  static inline const double root = std::sqrt(2 / std::acos(-1.0));
  static double argument(double x) { return root * (x + 0.044715 * x * x * x); }
};

template <class TttRule>
struct TttModel {
  using Rule = rules::TttSequence<TttRule>;
  using Scalar = typename TttRule::Scalar;

  Rule rule;
  Index chunk;
  rules::TttOrder order;
  double forms_tolerance = std::is_same_v<Scalar, float> ? 1e-5 : 1e-13;

  TttModel(Index head_width, Index mini_batch, rules::TttOrder answers = rules::TttOrder::token_inclusive)
      : rule(TttRule(head_width, mini_batch), rules::TttForm::dual, 2), chunk(mini_batch), order(answers) {}

  Index width() const { return rule.rule().head_width(); }
  Index out_width() const { return width(); }
  Index drawn_state() const { return rule.initial_size(); }
  Rule at_interval(Index interval) const { return Rule(rule.rule(), rules::TttForm::dual, interval); }

  bool has_queries() const { return order != rules::TttOrder::simplified; }
  std::vector<suites::RuleColumns> rows() const {
    std::vector<suites::RuleColumns> all{{"k", width()}, {"v", width()}, {"rate", 1, 0.2, 1}};
    all[0].waits = order == rules::TttOrder::chunk_exclusive;
    all[1].waits = all[2].waits = order != rules::TttOrder::token_inclusive;
    if (has_queries()) all.push_back({"q", width()});
    return all;
  }
  std::vector<suites::RuleColumns> shared() const {
    return {{"norm weight", width()}, {"norm bias", width()}, {"factors", chunk, 0.7, 1}};
  }
  template <class Element>
  rules::TttRows<Element> rows_of(const std::vector<MatrixView<Element>>& views) const {
    return {has_queries() ? views[3] : MatrixView<Element>(), views[0], views[1], {views[2].data(), views[2].rows()}};
  }
  rules::TttHead<Scalar> shared_of(const std::vector<MatrixView<const Scalar>>& views) const {
    return {{views[0].data(), views[1].data(), Scalar(1e-6)}, {views[2].data(), chunk}, order};
  }

  /// g_t = ∂/∂W ½‖f_W(k_t) − v_t‖² at the weights W of the mini-batch's start, W_t = W − τ_r Σ_{s ≤ t} η_s g_s,
  /// out_t = f_{W_t}(q_t), or f_W(q_t), or f_W(k_t).
  suites::RuleAnswer<double> reference(const suites::RuleNumbers<double>& numbers) const {
    const auto of_double = in_double(rule.rule());
    const PlainModel model{numbers.shared[0].view().data(), numbers.shared[1].view().data()};
    suites::RuleAnswer<double> answer{{numbers.tokens(), width()}, numbers.state};
    double* const values = answer.state.view().data();
    const auto state = of_double.state(values);
    const Maps start = maps_of(state);
    for (Index t = 0; t < numbers.tokens(); ++t) {
      const Index r = t % chunk;
      const auto row = [&](std::size_t i) {
        return Row(numbers.rows[i].rows(t, 1).row(0), numbers.rows[i].rows(t, 1).row(1));
      };
      const Row k = row(0), v = row(1), q = has_queries() ? row(3) : k;
      const auto pass = model.run(start, k);
      const auto gradients = model.gradients(start, pass, k, v);
      state.rates[r] = numbers.rows[2](t, 0);
      for (std::size_t m = 0; m < start.size(); ++m) {
        std::copy(pass.x[m].begin(), pass.x[m].end(), start[m].keys.row(r));
        std::copy(gradients[m].begin(), gradients[m].end(), start[m].gradients.row(r));
      }
      Row after(values, values + rule.state_size());
      update(maps_of(of_double.state(after.data())), state.rates, r, numbers.shared[2](0, r));
      Row normed;
      double deviation;
      const Maps answering = order == rules::TttOrder::token_inclusive ? maps_of(of_double.state(after.data())) : start;
      const Row answers = model.norm(model.run(answering, q).z.back(), normed, deviation);
      for (Index c = 0; c < width(); ++c)
        answer.out(t, c) = q[static_cast<std::size_t>(c)] + answers[static_cast<std::size_t>(c)];
      if (r + 1 < chunk) continue;
      std::copy_n(after.data(), rule.initial_size(), values);
      state.close();
    }
    return answer;
  }

 private:
  static void update(const Maps& maps, VectorView<const double> rates, Index last, double factor) {
    for (const auto& map : maps)
      for (Index s = 0; s <= last; ++s)
        for (Index o = 0; o < map.bias.columns(); ++o) {
          const double step = factor * rates[s] * map.gradients(s, o);
          map.bias(0, o) -= step;
          for (Index i = 0; i < map.keys.columns(); ++i) map.weight(i, o) -= map.keys(s, i) * step;
        }
  }
};

}  // namespace ttt::rule_tests
