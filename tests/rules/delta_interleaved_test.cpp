// SPDX-License-Identifier: MIT
#include <cmath>
#include <string>
#include <vector>

#include "rules/delta_sequence.hpp"
#include "suites/contracts.hpp"

using namespace ttt;
using namespace ttt::delta_tests;

namespace {

constexpr double tolerance = 1e-12;
constexpr Index tokens = 21, keys = 6, values = 5;  // more rows than two chunks have

/// A layer whose tokens are several rows of the rule: its inputs by name, the state it begins with last.
struct Layer {
  struct Input {
    std::string name;
    Matrix<double> value;
  };
  std::vector<Input> inputs;
  Index rows_per_token;

  Matrix<double>& operator[](std::size_t i) { return inputs[i].value; }
  const Matrix<double>& operator[](std::size_t i) const { return inputs[i].value; }
};

/// `row` of all rows_per_token of every token.
Matrix<double> of_each_token(const Matrix<double>& all, Index rows_per_token, Index row) {
  Matrix<double> result(tokens, all.columns());
  for (Index t = 0; t < tokens; ++t) copy(all.rows(rows_per_token * t + row, 1), result.rows(t, 1));
  return result;
}
void put(const Matrix<double>& from, Index rows_per_token, Index row, Matrix<double>& all) {
  for (Index t = 0; t < tokens; ++t) copy(from.rows(t, 1), all.rows(rows_per_token * t + row, 1));
}

/// a ∘ b.
Matrix<double> times(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> result(a.rows(), a.columns());
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) result(r, c) = a(r, c) * b(r, b.columns() == 1 ? 0 : c);
  return result;
}
/// Sums of the rows of a ∘ b.
Matrix<double> dots(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> result(a.rows(), 1);
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) result(r, 0) += a(r, c) * b(r, c);
  return result;
}
/// a + factor b.
Matrix<double> sum(Matrix<double> a, const Matrix<double>& b, double factor = 1) {
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) a(r, c) += factor * b(r, c);
  return a;
}
Matrix<double> exponential(Matrix<double> x, double sign) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index c = 0; c < x.columns(); ++c) x(r, c) = std::exp(sign * x(r, c));
  return x;
}
Matrix<double> negative(Matrix<double> x) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index c = 0; c < x.columns(); ++c) x(r, c) = -std::abs(x(r, c));
  return x;
}

/// `rows(layer)` make the rule the layer that `plain(layer)` is, and `gradients(layer, d)` of the rows are those of its
/// inputs: by central differences of `plain`.
template <class Rows, class Plain, class Gradients>
void check(Layer layer, Rows&& rows, Plain&& plain, Gradients&& gradients) {
  const Index n = layer.rows_per_token;
  const auto answers = [&](const Result<double>& result) {
    return Result<double>{of_each_token(result.out, n, n - 1), result.state};
  };
  const Sequence<double> s = rows(layer);
  const Result<double> expected = plain(layer);
  for (const auto& result : {answers(forward(s)), answers(recurrent(s))}) {
    CHECK(difference(result.out, expected.out) <= tolerance);
    CHECK(difference(result.state, expected.state) <= tolerance);
  }
  const auto d_out = random_matrix<double>(tokens, values, 31), d_state = random_matrix<double>(keys, values, 32);
  Matrix<double> d_rows(n * tokens, values);  // nobody looks at the other answers
  put(d_out, n, n - 1, d_rows);
  const auto d = backward(s, d_rows, d_state);
  const std::vector<Matrix<double>> found = gradients(layer, d);
  REQUIRE(found.size() == layer.inputs.size());
  const auto loss = [&] {
    const auto result = plain(layer);
    double total = 0;
    for (const auto& [a, b] : {std::pair{&result.out, &d_out}, {&result.state, &d_state}}) {
      const auto products = dots(*a, *b);
      for (Index r = 0; r < products.rows(); ++r) total += products(r, 0);
    }
    return total;
  };
  suites::Report report{"gradients of interleaved rows", 0, {}};
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto& value = layer[i];
    const Index size = value.rows() * value.columns();
    REQUIRE((found[i].rows() == value.rows() && found[i].columns() == value.columns()));
    suites::compare_with_differences(
        report, layer.inputs[i].name, {found[i].view().data(), found[i].view().data() + size},
        testing::sample_indices(size, 200, 200, 9), [&](Index k) -> double& { return value.view().data()[k]; }, loss);
  }
  suites::require(report);
}

}  // namespace

TEST_CASE("Gated DeltaProduct is interleaved rows, with its gradients", "[rules][delta]") {
  const double unit = 1 / std::sqrt(static_cast<double>(keys));
  for (const bool gated : {true, false})
    for (const Index steps : {1, 2, 3}) {
      INFO(steps << " steps a token, gated " << gated);
      Layer layer{{{"q", random_matrix<double>(tokens, keys, 1, unit)},
                   {"g", negative(random_matrix<double>(tokens, 1, 2, 0.3))},
                   {"k", random_matrix<double>(steps * tokens, keys, 3, unit)},
                   {"v", random_matrix<double>(steps * tokens, values, 4)},
                   {"beta", Matrix<double>(steps * tokens, 1)},
                   {"state", random_matrix<double>(keys, values, 6)}},
                  steps};
      for (Index r = 0; r < steps * tokens; ++r) layer[4](r, 0) = 0.2 + 0.25 * static_cast<double>(r % 8);  // up to 2
      if (!gated) layer.inputs.erase(layer.inputs.begin() + 1);
      const std::size_t key = gated ? 2 : 1, value = key + 1, rate = key + 2, state = key + 3;

      const auto rows = [&](const Layer& of) {
        Sequence<double> s{Matrix<double>(steps * tokens, keys),
                           times(of[key], of[rate]),
                           of[key],
                           times(of[value], of[rate]),
                           Matrix<double>(steps * tokens, gated ? 1 : 0),
                           of[state]};
        put(of[0], steps, steps - 1, s.queries);
        if (gated) put(of[1], steps, 0, s.decay);
        return s;
      };
      // S = e^g S; for every step S = S + β k (v − Sᵀ k)ᵀ; o = Sᵀ q.
      const auto plain = [&](const Layer& of) {
        Result<double> result{{tokens, values}, of[state]};
        for (Index t = 0; t < tokens; ++t)
          for (Index n = 0; n < values; ++n) {
            for (Index d = 0; d < keys; ++d) result.state(d, n) *= gated ? std::exp(of[1](t, 0)) : 1;
            for (Index row = steps * t; row < steps * (t + 1); ++row) {
              double missing = of[value](row, n);
              for (Index d = 0; d < keys; ++d) missing -= of[key](row, d) * result.state(d, n);
              for (Index d = 0; d < keys; ++d) result.state(d, n) += of[rate](row, 0) * of[key](row, d) * missing;
            }
            for (Index d = 0; d < keys; ++d) result.out(t, n) += of[0](t, d) * result.state(d, n);
          }
        return result;
      };
      const auto gradients = [&](const Layer& of, const Sequence<double>& d) {
        std::vector<Matrix<double>> all{of_each_token(d.queries, steps, steps - 1)};
        if (gated) all.push_back(of_each_token(d.decay, steps, 0));
        all.push_back(sum(d.write, times(d.erase, of[rate])));
        all.push_back(times(d.values, of[rate]));
        all.push_back(sum(dots(d.erase, of[key]), dots(d.values, of[value])));
        all.push_back(d.state);
        return all;
      };
      check(layer, rows, plain, gradients);
    }
}

TEST_CASE("RWKV-7 is two rows a token, with its gradients", "[rules][delta]") {
  const double unit = 1 / std::sqrt(static_cast<double>(keys));
  enum : std::size_t { receptance, decay, removal, rate, key, value, state };
  Layer layer{{{"r", random_matrix<double>(tokens, keys, 1, unit)},
               {"w", negative(random_matrix<double>(tokens, keys, 2, 0.3))},
               {"kappa", random_matrix<double>(tokens, keys, 3, unit)},
               {"a", Matrix<double>(tokens, keys)},
               {"k", random_matrix<double>(tokens, keys, 5, unit)},
               {"v", random_matrix<double>(tokens, values, 6)},
               {"state", random_matrix<double>(keys, values, 7)}},
              2};
  for (Index t = 0; t < tokens; ++t)
    for (Index d = 0; d < keys; ++d) layer[rate](t, d) = 0.1 + 0.2 * static_cast<double>((t + d) % 5);

  // The first row removes: what it reads after the decay is what was there before it, as its key is e^(−w) ∘ κ. The
  // second one writes.
  const auto rows = [&](const Layer& of) {
    Sequence<double> s{Matrix<double>(2 * tokens, keys), Matrix<double>(2 * tokens, keys),
                       Matrix<double>(2 * tokens, keys), Matrix<double>(2 * tokens, values),
                       Matrix<double>(2 * tokens, keys), of[state]};
    put(of[receptance], 2, 1, s.queries);
    put(times(exponential(of[decay], -1), of[removal]), 2, 0, s.erase);
    put(times(of[removal], of[rate]), 2, 0, s.write);
    put(of[key], 2, 1, s.write);
    put(of[value], 2, 1, s.values);
    put(of[decay], 2, 0, s.decay);
    return s;
  };
  // S ← Diag(e^w) S − (κ ∘ a) (S_oldᵀ κ)ᵀ + k vᵀ; o = Sᵀ r.
  const auto plain = [&](const Layer& of) {
    Result<double> result{{tokens, values}, of[state]};
    for (Index t = 0; t < tokens; ++t)
      for (Index n = 0; n < values; ++n) {
        double read = 0;
        for (Index d = 0; d < keys; ++d) read += of[removal](t, d) * result.state(d, n);
        for (Index d = 0; d < keys; ++d) {
          result.state(d, n) = std::exp(of[decay](t, d)) * result.state(d, n) -
                               of[removal](t, d) * of[rate](t, d) * read + of[key](t, d) * of[value](t, n);
          result.out(t, n) += of[receptance](t, d) * result.state(d, n);
        }
      }
    return result;
  };
  const auto gradients = [&](const Layer& of, const Sequence<double>& d) {
    const auto grown = exponential(of[decay], -1), d_erase = of_each_token(d.erase, 2, 0),
               d_removed = of_each_token(d.write, 2, 0);
    return std::vector<Matrix<double>>{of_each_token(d.queries, 2, 1),
                                       sum(of_each_token(d.decay, 2, 0), times(d_erase, times(grown, of[removal])), -1),
                                       sum(times(d_erase, grown), times(d_removed, of[rate])),
                                       times(d_removed, of[removal]),
                                       of_each_token(d.write, 2, 1),
                                       of_each_token(d.values, 2, 1),
                                       d.state};
  };
  check(layer, rows, plain, gradients);
}
