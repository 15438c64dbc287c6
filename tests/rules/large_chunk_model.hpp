// SPDX-License-Identifier: MIT
/// @file
/// The large-chunk rules as the suite of rules is told of them: the published equations in plain loops, on matrices
/// that lie as published, [outputs × inputs].
#pragma once

#include <array>
#include <cmath>
#include <vector>

#include "suites/sequence_rule/numbers.hpp"
#include "ttt/rules/large_chunk/large_chunk.hpp"

namespace ttt::rule_tests {

using Vector = std::vector<double>;

/// A small dense matrix [outputs × inputs].
struct Dense {
  std::size_t rows = 0, columns = 0;
  Vector values;

  Dense() = default;
  Dense(std::size_t r, std::size_t c) : rows(r), columns(c), values(r * c) {}
  double& operator()(std::size_t r, std::size_t c) { return values[r * columns + c]; }
  double operator()(std::size_t r, std::size_t c) const { return values[r * columns + c]; }

  Vector times(const Vector& x) const {
    Vector y(rows);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) y[r] += (*this)(r, c) * x[c];
    return y;
  }
  Dense turned() const {
    Dense t(columns, rows);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) t(c, r) = (*this)(r, c);
    return t;
  }
  Dense times(const Dense& other) const {
    Dense product(rows, other.columns);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t k = 0; k < columns; ++k)
        for (std::size_t c = 0; c < other.columns; ++c) product(r, c) += (*this)(r, k) * other(k, c);
    return product;
  }
  /// this + factor · other.
  Dense plus(double factor, const Dense& other) const {
    Dense sum = *this;
    for (std::size_t i = 0; i < values.size(); ++i) sum.values[i] += factor * other.values[i];
    return sum;
  }
  void add_outer(double factor, const Vector& left, const Vector& right) {
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) (*this)(r, c) += factor * left[r] * right[c];
  }
  double length() const {
    double sum = 0;
    for (const double value : values) sum += value * value;
    return std::sqrt(sum);
  }
  double length(std::size_t r) const {
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += (*this)(r, c) * (*this)(r, c);
    return std::sqrt(sum);
  }
};

/// NS5, as published.
inline Dense orthogonal_step(const Dense& g) {
  if (g.rows > g.columns) return orthogonal_step(g.turned()).turned();
  Dense x = g;
  for (double& value : x.values) value /= g.length() + 1e-7;
  for (const auto& [a, b, c] : {std::array{4.0848, -6.8946, 2.9270},
                                {3.9505, -6.3029, 2.6377},
                                {3.7418, -5.5913, 2.3037},
                                {2.8769, -3.1427, 1.2046},
                                {2.8366, -3.0525, 1.2012}}) {
    const Dense square = x.times(x.turned());
    Dense polynomial(square.rows, square.columns);
    polynomial = polynomial.plus(b, square).plus(c, square.times(square));
    Dense next(x.rows, x.columns);
    x = next.plus(a, x).plus(1, polynomial.times(x));
  }
  return x;
}

inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// f(x) and Σ η ∇_W f(k) · v of the SwiGLU, W in the order W0, W1, W2.
struct PlainSwiglu {
  using Weights = std::vector<Dense>;

  static Vector answer(const Weights& w, const Vector& x) {
    Vector a = w[0].times(x);
    const Vector u = w[2].times(x);
    for (std::size_t f = 0; f < a.size(); ++f) a[f] *= logistic(a[f]) * u[f];
    return w[1].times(a);
  }
  static void add_step(const Weights& w, const Vector& k, const Vector& v, const Vector& rates, Weights& sums) {
    const Vector a = w[0].times(k), u = w[2].times(k), y = w[1].turned().times(v);
    Vector g0(a.size()), g2(a.size()), h(a.size());
    for (std::size_t f = 0; f < a.size(); ++f) {
      const double s = logistic(a[f]);
      g0[f] = s * (1 + a[f] * (1 - s)) * u[f] * y[f];
      g2[f] = a[f] * s * y[f];
      h[f] = a[f] * s * u[f];
    }
    sums[0].add_outer(rates[0], g0, k);
    sums[1].add_outer(rates[1], v, h);
    sums[2].add_outer(rates[2], g2, k);
  }
};

struct PlainLinear {
  using Weights = std::vector<Dense>;

  static Vector answer(const Weights& w, const Vector& x) { return w[0].times(x); }
  static void add_step(const Weights&, const Vector& k, const Vector& v, const Vector& rates, Weights& sums) {
    sums[0].add_outer(rates[0], v, k);
  }
};

template <class Scalar>
PlainSwiglu plain(const rules::InnerSwiglu<Scalar>&) {
  return {};
}
template <class Scalar>
PlainLinear plain(const rules::InnerLinear<Scalar>&) {
  return {};
}

template <class Inner>
struct LargeChunkModel {
  using Rule = rules::LargeChunk<Inner>;
  using Scalar = typename Rule::Scalar;

  Rule rule;
  Index chunk;
  rules::ChunkStep step;
  bool keeps_lengths;
  double forms_tolerance = std::is_same_v<Scalar, float> ? 1e-5 : 1e-12;

  LargeChunkModel(const Inner& inner, Index chunk_size, rules::ChunkStep chunk_step, bool lengths = true)
      : rule(inner, chunk_size, chunk_step, lengths, 2), chunk(chunk_size), step(chunk_step), keeps_lengths(lengths) {}

  Index width() const { return rule.model().head_width(); }
  Index out_width() const { return width(); }
  Index drawn_state() const { return rule.initial_size(); }
  Rule at_interval(Index interval) const { return {rule.model(), chunk, step, keeps_lengths, interval}; }

  std::vector<suites::RuleColumns> rows() const {
    const double unit = 1 / std::sqrt(static_cast<double>(width()));
    std::vector<suites::RuleColumns> all{{"q", width(), unit}};
    const auto later = [&](const char* name, Index columns, double scale, int sign) {
      suites::RuleColumns of{name, columns, scale, sign};
      of.waits = true;
      all.push_back(of);
    };
    later("k", width(), unit, 0), later("v", width(), 1, 0),
        later("rate", static_cast<Index>(std::tuple_size_v<typename Inner::Matrices>),
              step == rules::ChunkStep::muon ? 2 : 0.2, 1);
    if (rule.has_momentum()) later("momentum", 1, 0.5, 1);
    return all;
  }
  std::vector<suites::RuleColumns> shared() const { return {}; }

  template <class Element>
  rules::LargeChunkRows<Element> rows_of(const std::vector<MatrixView<Element>>& views) const {
    return {views[0], views[1], views[2], views[3], rule.has_momentum() ? views[4] : MatrixView<Element>()};
  }
  rules::NothingShared shared_of(const std::vector<MatrixView<const Scalar>>&) const { return {}; }

  /// o = f_W(q), S += η ∇_W f_W(k) · v; when a chunk is over and a token follows, the step.
  suites::RuleAnswer<double> reference(const suites::RuleNumbers<double>& numbers) const {
    using Weights = std::vector<Dense>;
    const auto model = plain(rule.model());
    suites::RuleAnswer<double> answer{{numbers.tokens(), width()}, numbers.state};
    double* const values = answer.state.view().data();
    Weights w = matrices(values), sums = matrices(nullptr), momentum = sums;
    std::vector<Vector> lengths;
    for (const Dense& one : w) {
      lengths.emplace_back(one.rows);
      for (std::size_t r = 0; r < one.rows; ++r) lengths.back()[r] = one.length(r);
    }
    double momenta = 0;
    for (Index t = 0; t < numbers.tokens(); ++t) {
      if (t > 0 && t % chunk == 0) {
        for (std::size_t i = 0; i < w.size(); ++i) {
          if (rule.has_momentum())
            momentum[i] = sums[i] = sums[i].plus(momenta / static_cast<double>(chunk), momentum[i]);
          w[i] = w[i].plus(1, step == rules::ChunkStep::muon ? orthogonal_step(sums[i]) : sums[i]);
          for (std::size_t r = 0; keeps_lengths && r < w[i].rows; ++r) {
            const double factor = lengths[i][r] / (w[i].length(r) + 1e-5);
            for (std::size_t c = 0; c < w[i].columns; ++c) w[i](r, c) *= factor;
          }
        }
        sums = matrices(nullptr);
        momenta = 0;
      }
      const auto row = [&](std::size_t i) {
        return Vector(numbers.rows[i].rows(t, 1).row(0), numbers.rows[i].rows(t, 1).row(1));
      };
      const Vector out = model.answer(w, row(0));
      std::copy(out.begin(), out.end(), answer.out.rows(t, 1).data());
      model.add_step(w, row(1), row(2), row(3), sums);
      if (rule.has_momentum()) momenta += row(4)[0];
    }
    if (numbers.tokens() == 0) return answer;
    double* next = values;
    const auto put = [&](const Weights& all) {
      for (const Dense& one : all)
        for (const double value : one.turned().values) *next++ = value;
    };
    put(w);
    if (rule.has_momentum()) put(momentum);
    put(sums);
    for (const Vector& of : lengths)
      if (keeps_lengths) next = std::copy(of.begin(), of.end(), next);
    if (rule.has_momentum()) *next = momenta;
    return answer;
  }

  /// The matrices of a state as published, or zeros.
  std::vector<Dense> matrices(const double* values) const {
    std::vector<Dense> all;
    for (std::size_t i = 0; i < std::tuple_size_v<typename Inner::Matrices>; ++i) {
      const auto [inputs, outputs] = rule.model().shape(i);
      Dense lying(static_cast<std::size_t>(inputs), static_cast<std::size_t>(outputs));
      if (values) std::copy_n(values, inputs * outputs, lying.values.data()), values += inputs * outputs;
      all.push_back(lying.turned());
    }
    return all;
  }
};

}  // namespace ttt::rule_tests
