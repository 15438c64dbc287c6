// SPDX-License-Identifier: MIT
/// @file
/// One head of the delta family with what tests of its instances need: random rows of every kind, and calls of the
/// rule.
#pragma once

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/random_matrix.hpp"
#include "ttt/rules/delta/delta.hpp"

namespace ttt::delta_tests {

using testing::Matrix;
using testing::random_matrix;

template <class Scalar>
struct Sequence {
  Matrix<Scalar> queries, erase, write, values, decay, state;

  rules::DeltaRows<Scalar> rows() {
    const auto part = [](Matrix<Scalar>& x) { return x.columns() == 0 ? MatrixView<Scalar>() : x.view(); };
    return {part(queries), part(erase), part(write), part(values), part(decay)};
  }
  std::array<Matrix<Scalar>*, 6> inputs() { return {&queries, &erase, &write, &values, &decay, &state}; }
};

/// Rows of length one or so, as the layers have them, so that the state stays of order one.
template <class Scalar>
Sequence<Scalar> random_sequence(Index tokens, Index keys, Index values, Index decay, bool erases,
                                 double strength = 0.3) {
  const double unit = 1 / std::sqrt(static_cast<double>(keys));
  Sequence<Scalar> s{
      random_matrix<Scalar>(tokens, keys, 1, unit),      random_matrix<Scalar>(tokens, erases ? keys : 0, 2, unit),
      random_matrix<Scalar>(tokens, keys, 3, unit),      random_matrix<Scalar>(tokens, values, 4),
      random_matrix<Scalar>(tokens, decay, 5, strength), random_matrix<Scalar>(keys, values, 6)};
  for (Index t = 0; t < tokens; ++t)
    for (Index d = 0; d < decay; ++d) s.decay(t, d) = -std::abs(s.decay(t, d));
  return s;
}

template <class Scalar>
struct Result {
  Matrix<Scalar> out, state;
};

/// The rule of any instance, whose functions find out from the rows what there is of them.
template <class Scalar>
auto rule_of(const Sequence<Scalar>& s) {
  return rules::Delta<Scalar, rules::DeltaDecay::by_row, true>(s.state.rows(), s.state.columns(), 2);
}

template <class Scalar>
Result<Scalar> forward(Sequence<Scalar> s) {
  Result<Scalar> result{Matrix<Scalar>(s.queries.rows(), s.values.columns(), Scalar(777)), s.state};
  Arena scratch;
  rule_of(s).template forward<simd::Native>({{}, s.rows()}, result.state.view().data(), result.out.view(), {}, scratch);
  return result;
}
template <class Scalar>
Result<Scalar> recurrent(Sequence<Scalar> s) {
  Result<Scalar> result{Matrix<Scalar>(s.queries.rows(), s.values.columns(), Scalar(777)), s.state};
  Arena scratch;
  rule_of(s).template primal<simd::Native>({{}, s.rows()}, result.state.view().data(), result.out.view(), scratch);
  return result;
}

/// The gradients of all inputs and of the initial state, for those of the outputs and of the final state.
template <class Scalar>
Sequence<Scalar> backward(Sequence<Scalar> s, const Matrix<Scalar>& d_out, const Matrix<Scalar>& d_state) {
  const auto rule = rule_of(s);
  Arena scratch, memory;
  const auto record = rule.record(0, s.queries.rows(), memory);
  Matrix<Scalar> state = s.state, out(s.queries.rows(), s.state.columns());
  rule.template forward<simd::Native>({{}, s.rows()}, state.view().data(), out.view(), record, scratch);
  Sequence<Scalar> d = s;
  for (auto* part : d.inputs()) *part = Matrix<Scalar>(part->rows(), part->columns(), Scalar(777));
  d.state = d_state;
  rule.template backward<simd::Native>({{}, s.rows()}, record, d_out.view(), d.state.view().data(), {{}, d.rows()},
                                       scratch);
  return d;
}

template <class A, class B>
double difference(const Matrix<A>& a, const Matrix<B>& b) {
  double largest = 0, scale = 1;
  REQUIRE((a.rows() == b.rows() && a.columns() == b.columns()));
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) {
      const double apart = std::abs(static_cast<double>(a(r, c)) - static_cast<double>(b(r, c)));
      largest = std::max(largest, std::isnan(apart) ? std::numeric_limits<double>::infinity() : apart);
      scale = std::max(scale, std::abs(static_cast<double>(b(r, c))));
    }
  return largest / scale;
}

}  // namespace ttt::delta_tests
