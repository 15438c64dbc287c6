// SPDX-License-Identifier: MIT
/// @file
/// TTT-Linear without its norm is the delta family. Its norm has no switch, but f(x) = √ε (x − mean) / √(variance + ε)
/// tends to x − mean, and where all targets are free of a mean, so are the weights and what they answer. With the bias
/// as one more key that is always 1, the rule is then one of S = (W, b), k′ = (k, 1), q′ = (q, 1) and v′ = v − k.
#include <cmath>
#include <vector>

#include "rules/delta_sequence.hpp"
#include "ttt/rules/ttt/sequence.hpp"
#include "ttt/rules/ttt_linear/ttt_linear.hpp"

using namespace ttt;
using namespace ttt::delta_tests;

namespace {

constexpr double tolerance = 1e-12;

Matrix<double> without_mean(Matrix<double> x) {
  for (Index r = 0; r < x.rows(); ++r) {
    double mean = 0;
    for (Index c = 0; c < x.columns(); ++c) mean += x(r, c) / static_cast<double>(x.columns());
    for (Index c = 0; c < x.columns(); ++c) x(r, c) -= mean;
  }
  return x;
}

/// One head, its mini-batches of `mini_batch` tokens.
struct Head {
  Index width, mini_batch, tokens;
  Matrix<double> q = random_matrix<double>(tokens, width, 1, unit()),
                 k = random_matrix<double>(tokens, width, 2, unit()),
                 targets = without_mean(random_matrix<double>(tokens, width, 3)), values = targets,
                 rates = random_matrix<double>(tokens, 1, 4, 0.3),
                 weights = without_mean(random_matrix<double>(width + 1, width, 5, 0.3));  ///< W, then b

  double unit() const { return 1 / std::sqrt(static_cast<double>(width)); }

  Head(Index head_width, Index tokens_at_once, Index length)
      : width(head_width), mini_batch(tokens_at_once), tokens(length) {
    for (Index t = 0; t < tokens; ++t) {
      rates(t, 0) = std::abs(rates(t, 0));
      for (Index c = 0; c < width; ++c) values(t, c) += k(t, c);
    }
  }

  /// (x, 1).
  Matrix<double> and_one(const Matrix<double>& x) const {
    Matrix<double> result(tokens, width + 1, 1);
    for (Index t = 0; t < tokens; ++t)
      for (Index c = 0; c < width; ++c) result(t, c) = x(t, c);
    return result;
  }
  Matrix<double> times_rates(Matrix<double> x) const {
    for (Index t = 0; t < tokens; ++t)
      for (Index c = 0; c < x.columns(); ++c) x(t, c) *= rates(t, 0);
    return x;
  }
};

/// What the rule answers less its residual q, the weights it leaves, and gradients of its rows and first weights.
struct Learned {
  Matrix<double> out, weights, d_q, d_k, d_v, d_rates, d_weights;
};

Learned learn(Head head, const Matrix<double>& d_out, const Matrix<double>& d_weights) {
  constexpr double epsilon = 1e16;
  const Index width = head.width, tokens = head.tokens;
  const std::vector<double> weight(static_cast<std::size_t>(width), std::sqrt(epsilon)),
      bias(static_cast<std::size_t>(width)), factors(static_cast<std::size_t>(head.mini_batch), 1);
  const rules::TttLinear<double> of_mini_batch(width, head.mini_batch);
  const rules::TttSequence rule(of_mini_batch);
  const auto rows = [&](auto& q, auto& k, auto& v, auto& rates) {
    return rules::TttRows<double>{q.view(), k.view(), v.view(), {rates.view().data(), tokens}};
  };
  const auto r = rows(head.q, head.k, head.values, head.rates);
  const decltype(rule)::Input input{{{weight.data(), bias.data(), epsilon}, {factors.data(), head.mini_batch}},
                                    {r.queries, r.keys, r.values, {r.rates.data(), tokens}},
                                    0};
  const auto state_of = [&](const Matrix<double>& weights) {
    std::vector<double> state(static_cast<std::size_t>(rule.state_size()));
    std::copy_n(weights.view().data(), of_mini_batch.weight_size(), state.data());
    return state;
  };
  Arena memory, scratch;
  const auto record = rule.record(0, tokens, memory);
  auto state = state_of(head.weights), d_state = state_of(d_weights);
  Learned result{{tokens, width}, head.weights, {tokens, width}, {tokens, width},
                 {tokens, width}, {tokens, 1},  head.weights};
  rule.forward<simd::Native>(input, state.data(), result.out.view(), record, scratch);
  std::vector<double> d_shared(static_cast<std::size_t>(rule.shared_size()));
  rule.backward<simd::Native>(
      input, record, d_out.view(), d_state.data(),
      {rule.shared_gradient(d_shared.data()), rows(result.d_q, result.d_k, result.d_v, result.d_rates), 0}, scratch);
  for (Index t = 0; t < tokens; ++t)
    for (Index c = 0; c < width; ++c) {
      result.out(t, c) -= head.q(t, c);
      result.d_q(t, c) -= d_out(t, c);
    }
  std::copy_n(state.data(), of_mini_batch.weight_size(), result.weights.view().data());
  std::copy_n(d_state.data(), of_mini_batch.weight_size(), result.d_weights.view().data());
  return result;
}

/// The head as one of the delta family, which may erase nothing.
void check(const Head& head, bool erases) {
  const auto keys = head.and_one(head.k), rated = head.times_rates(keys);
  const Sequence<double> s{head.and_one(head.q),
                           erases ? rated : Matrix<double>(head.tokens, 0),
                           keys,
                           head.times_rates(head.targets),
                           Matrix<double>(head.tokens, 0),
                           head.weights};
  const auto d_out = without_mean(random_matrix<double>(head.tokens, head.width, 7)),
             d_weights = without_mean(random_matrix<double>(head.width + 1, head.width, 8));
  const auto result = forward(s);
  const auto d = backward(s, d_out, d_weights);
  const auto found = learn(head, d_out, d_weights);
  CHECK(difference(found.out, result.out) <= tolerance);
  CHECK(difference(found.weights, result.state) <= tolerance);
  if (erases) CHECK(difference(found.d_weights, d.state) <= tolerance);  // W₀ = 0 would have been erased, too

  const auto d_v = head.times_rates(d.values);  // of v; k is a key, is erased, and is subtracted from the target
  Matrix<double> d_q = head.q, d_k = head.k, d_rates = head.rates;
  for (Index t = 0; t < head.tokens; ++t) {
    d_rates(t, 0) = 0;
    for (Index c = 0; c <= head.width; ++c)
      if (erases) d_rates(t, 0) += d.erase(t, c) * keys(t, c);
    for (Index c = 0; c < head.width; ++c) {
      d_rates(t, 0) += d.values(t, c) * head.targets(t, c);
      d_q(t, c) = d.queries(t, c);
      d_k(t, c) = d.write(t, c) + (erases ? head.rates(t, 0) * d.erase(t, c) : 0) - d_v(t, c);
    }
  }
  CHECK(difference(found.d_q, d_q) <= tolerance);
  CHECK(difference(found.d_v, d_v) <= tolerance);
  CHECK(difference(found.d_k, d_k) <= tolerance);
  CHECK(difference(found.d_rates, d_rates) <= tolerance);
}

}  // namespace

TEST_CASE("TTT-Linear without its norm, token by token, is DeltaNet", "[rules][ttt][delta]") {
  for (const Index width : {4, 7, 16})
    for (const Index tokens : {1, 3, 50}) {
      INFO("D " << width << ", " << tokens << " tokens");
      Head head(width, 1, tokens);
      check(head, true);
      head.weights = Matrix<double>(width + 1, width);
      check(head, true);
    }
}

TEST_CASE("TTT-Linear without its norm, in one mini-batch from zero, is linear attention", "[rules][ttt][delta]") {
  for (const Index width : {4, 7, 16})
    for (const Index tokens : {1, 3, 50}) {
      INFO("D " << width << ", " << tokens << " tokens");
      Head head(width, tokens, tokens);
      head.weights = Matrix<double>(width + 1, width);
      check(head, false);
    }
}
