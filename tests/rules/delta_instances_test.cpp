// SPDX-License-Identifier: MIT
#include <functional>

#include "rules/delta_sequence.hpp"
#include "support/golden.hpp"

using namespace ttt;
using namespace ttt::delta_tests;

namespace {

/// One head of one sequence of a golden set: [B, H, T, *] or, with `tokens_first`, [B, T, H, *].
struct Head {
  const golden::Set& set;
  Index batch, head;
  bool tokens_first;

  Matrix<double> rows(const std::string& name, Index heads = 2) const {
    const auto& array = set.at(name);
    const Index tokens = array.shape[tokens_first ? 1 : 2], width = array.shape.size() == 4 ? array.shape[3] : 1;
    const Index h = std::min(head, heads - 1);
    Matrix<double> result(tokens, width);
    for (Index t = 0; t < tokens; ++t) {
      const Index row = tokens_first ? (batch * tokens + t) * heads + h : (batch * heads + h) * tokens + t;
      for (Index c = 0; c < width; ++c) result(t, c) = array.values[static_cast<std::size_t>(row * width + c)];
    }
    return result;
  }
  Matrix<double> state(const std::string& name) const {
    const auto& array = set.at(name);
    Matrix<double> result(array.shape[2], array.shape[3]);
    const Index size = result.rows() * result.columns();
    std::copy_n(array.values.data() + (batch * array.shape[1] + head) * size, size, result.view().data());
    return result;
  }
};

void for_each_head(const std::string& name, bool tokens_first, const std::function<void(const Head&)>& body) {
  const auto set = golden::load("ops/" + name);
  for (Index batch = 0; batch < 2; ++batch)
    for (Index head = 0; head < 2; ++head) {
      INFO(name << ", sequence " << batch << ", head " << head);
      body({set, batch, head, tokens_first});
    }
}

Matrix<double> scaled(Matrix<double> x, double factor) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index c = 0; c < x.columns(); ++c) x(r, c) *= factor;
  return x;
}
/// Every row times its number.
Matrix<double> by_row(Matrix<double> x, const Matrix<double>& factor) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index c = 0; c < x.columns(); ++c) x(r, c) *= factor(r, 0);
  return x;
}
Matrix<double> sum(Matrix<double> a, const Matrix<double>& b) {
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) a(r, c) += b(r, c);
  return a;
}
Matrix<double> dots(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> result(a.rows(), 1);
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) result(r, 0) += a(r, c) * b(r, c);
  return result;
}
Matrix<double> initial_state(const Head& head) {
  return head.set.arrays.contains("initial_state")
             ? head.state("initial_state")
             : Matrix<double>(head.state("final_state").rows(), head.state("final_state").columns());
}

constexpr double value_tolerance = 1e-11, gradient_tolerance = 1e-11;

/// A delta rule with keys k and rates β: e = β k, c = k, v = β v.
void check_delta_rule(const std::string& name, bool tokens_first, bool decays) {
  for_each_head(name, tokens_first, [&](const Head& head) {
    const auto keys = head.rows("k"), values = head.rows("v"), rates = head.rows("beta");
    const double scale = 1 / std::sqrt(static_cast<double>(keys.columns()));
    const Sequence<double> s{scaled(head.rows("q"), scale),
                             by_row(keys, rates),
                             keys,
                             by_row(values, rates),
                             decays ? head.rows("g") : Matrix<double>(keys.rows(), 0),
                             initial_state(head)};
    for (const auto& result : {forward(s), recurrent(s)}) {
      CHECK(difference(result.out, head.rows("o")) <= value_tolerance);
      CHECK(difference(result.state, head.state("final_state")) <= value_tolerance);
    }
    const auto d = backward(s, head.rows("d_o"), head.state("d_final_state"));
    CHECK(difference(scaled(d.queries, scale), head.rows("grad.q")) <= gradient_tolerance);
    CHECK(difference(sum(d.write, by_row(d.erase, rates)), head.rows("grad.k")) <= gradient_tolerance);
    CHECK(difference(by_row(d.values, rates), head.rows("grad.v")) <= gradient_tolerance);
    CHECK(difference(sum(dots(d.erase, keys), dots(d.values, values)), head.rows("grad.beta")) <= gradient_tolerance);
    if (decays) CHECK(difference(d.decay, head.rows("grad.g")) <= gradient_tolerance);
    if (head.set.arrays.contains("initial_state"))
      CHECK(difference(d.state, head.state("grad.initial_state")) <= gradient_tolerance);
  });
}

}  // namespace

TEST_CASE("DeltaNet has the golden values and gradients", "[rules][delta][golden]") {
  check_delta_rule("delta_rule", false, false);
  check_delta_rule("delta_rule_chunk", false, false);
}

TEST_CASE("Gated DeltaNet has the golden values and gradients", "[rules][delta][golden]") {
  check_delta_rule("gated_delta_rule", true, true);
}

TEST_CASE("gated linear attention has the golden values and gradients", "[rules][delta][golden]") {
  for_each_head("simple_gla", true, [&](const Head& head) {
    const auto keys = head.rows("k");
    const double scale = 1 / std::sqrt(static_cast<double>(keys.columns()));
    const Sequence<double> s{
        scaled(head.rows("q"), scale), Matrix<double>(keys.rows(), 0), keys, head.rows("v"), head.rows("g"),
        head.state("initial_state")};
    for (const auto& result : {forward(s), recurrent(s)}) {
      CHECK(difference(result.out, head.rows("o")) <= value_tolerance);
      CHECK(difference(result.state, head.state("final_state")) <= value_tolerance);
    }
    const auto d = backward(s, head.rows("d_o"), head.state("d_final_state"));
    CHECK(difference(scaled(d.queries, scale), head.rows("grad.q")) <= gradient_tolerance);
    CHECK(difference(d.write, head.rows("grad.k")) <= gradient_tolerance);
    CHECK(difference(d.values, head.rows("grad.v")) <= gradient_tolerance);
    CHECK(difference(d.decay, head.rows("grad.g")) <= gradient_tolerance);
    CHECK(difference(d.state, head.state("grad.initial_state")) <= gradient_tolerance);
  });
}

TEST_CASE("the core of Mamba-2 has the golden values and gradients", "[rules][delta][golden]") {
  // q = C, c = B, v = Δ x, g = Δ A with A = −e^(A_log); the skip D x is the layer's.
  std::vector<double> of_rates(2), of_skips(2);
  Matrix<double> of_input[2], of_output[2];  // of each sequence, which its heads share
  for_each_head("mamba2_ssd", true, [&](const Head& head) {
    const auto steps = head.rows("dt"), x = head.rows("x");
    const auto h = static_cast<std::size_t>(head.head);
    const double rate = -std::exp(head.set.at("A_log").values[h]), skip = head.set.at("D").values[h];
    const Sequence<double> s{head.rows("C", 1), Matrix<double>(x.rows(), 0), head.rows("B", 1),
                             by_row(x, steps),  scaled(steps, rate),         head.state("initial_state")};
    for (const auto& result : {forward(s), recurrent(s)}) {
      CHECK(difference(sum(result.out, scaled(x, skip)), head.rows("o")) <= value_tolerance);
      CHECK(difference(result.state, head.state("final_state")) <= value_tolerance);
    }
    const auto d = backward(s, head.rows("d_o"), head.state("d_final_state"));
    CHECK(difference(sum(by_row(d.values, steps), scaled(head.rows("d_o"), skip)), head.rows("grad.x")) <=
          gradient_tolerance);
    CHECK(difference(sum(scaled(d.decay, rate), dots(d.values, x)), head.rows("grad.dt")) <= gradient_tolerance);
    CHECK(difference(d.state, head.state("grad.initial_state")) <= gradient_tolerance);
    for (Index t = 0; t < x.rows(); ++t) {
      of_rates[h] += d.decay(t, 0) * s.decay(t, 0);
      of_skips[h] += dots(head.rows("d_o"), x)(t, 0);
    }
    auto &input = of_input[head.batch], &output = of_output[head.batch];
    input = head.head == 0 ? d.write : sum(input, d.write);
    output = head.head == 0 ? d.queries : sum(output, d.queries);
    if (head.head == 0) return;
    CHECK(difference(input, head.rows("grad.B", 1)) <= gradient_tolerance);
    CHECK(difference(output, head.rows("grad.C", 1)) <= gradient_tolerance);
  });
  const auto set = golden::load("ops/mamba2_ssd");
  for (std::size_t h = 0; h < 2; ++h) {
    CHECK(std::abs(of_rates[h] - set.at("grad.A_log").values[h]) <= 1e-11 * std::max(1.0, std::abs(of_rates[h])));
    CHECK(std::abs(of_skips[h] - set.at("grad.D").values[h]) <= 1e-11 * std::max(1.0, std::abs(of_skips[h])));
  }
}

TEST_CASE("a rate of one writes orthonormal keys exactly, and rewrites one without touching the others",
          "[rules][delta]") {
  constexpr Index keys = 6, values = 4, tokens = keys + 1;
  Sequence<double> s{Matrix<double>(tokens, keys), Matrix<double>(tokens, keys),
                     Matrix<double>(tokens, keys), random_matrix<double>(tokens, values, 4),
                     Matrix<double>(tokens, 0),    random_matrix<double>(keys, values, 6)};
  for (Index t = 0; t < tokens; ++t) s.erase(t, t % keys) = s.write(t, t % keys) = 1;
  const auto result = forward(s);
  for (Index k = 0; k < keys; ++k)
    for (Index n = 0; n < values; ++n) CHECK(std::abs(result.state(k, n) - s.values(k == 0 ? keys : k, n)) <= 1e-14);
}

TEST_CASE("kinds that have less are those that have more, with nothing in it", "[rules][delta]") {
  constexpr Index tokens = 40, keys = 8, values = 10;
  const auto with = [&](Index decay, bool erases) {
    return random_sequence<double>(tokens, keys, values, decay, erases, 0);
  };
  const auto same = [](const Sequence<double>& a, const Sequence<double>& b) {
    return difference(forward(a).out, forward(b).out) <= 1e-12 &&
           difference(forward(a).state, forward(b).state) <= 1e-12;
  };
  CHECK(same(with(1, true), with(0, true)));     // Gated DeltaNet without decay is DeltaNet
  CHECK(same(with(keys, true), with(0, true)));  // … and so is KDA
  auto silent = with(1, true);
  silent.erase = Matrix<double>(tokens, keys);
  CHECK(same(silent, with(1, false)));  // without erasure: gated linear attention
  auto one = random_sequence<double>(tokens, keys, values, 1, true),
       all = random_sequence<double>(tokens, keys, values, keys, true);
  for (Index t = 0; t < tokens; ++t)
    for (Index d = 0; d < keys; ++d) all.decay(t, d) = one.decay(t, 0);
  CHECK(same(one, all));  // one number for all rows of the state
}
