// SPDX-License-Identifier: MIT
/// @file
/// One head of the delta family with what its tests need: random rows of every kind, the recurrence as loops, and calls
/// of the rule.
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

/// Which instance of the family: columns of g (0: none, 1, or K), and whether there is an e.
struct Kind {
  Index decay;
  bool erases;
};

template <class Scalar>
struct Sequence {
  Matrix<Scalar> queries, erase, write, values, decay, state;

  rules::DeltaRows<Scalar> rows() {
    const auto part = [](Matrix<Scalar>& x) { return x.columns() == 0 ? MatrixView<Scalar>() : x.view(); };
    return {part(queries), part(erase), part(write), part(values), part(decay)};
  }
  std::array<Matrix<Scalar>*, 6> inputs() { return {&queries, &erase, &write, &values, &decay, &state}; }
  static constexpr std::array names{"q", "e", "c", "v", "g", "S"};
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

/// The recurrence, number by number, in double.
template <class Scalar>
Result<double> by_hand(const Sequence<Scalar>& s) {
  const Index tokens = s.queries.rows(), keys = s.state.rows(), values = s.state.columns();
  Result<double> result{Matrix<double>(tokens, values), Matrix<double>(keys, values)};
  Matrix<double>& state = result.state;
  for (Index d = 0; d < keys; ++d)
    for (Index n = 0; n < values; ++n) state(d, n) = static_cast<double>(s.state(d, n));
  for (Index t = 0; t < tokens; ++t) {
    for (Index d = 0; d < keys && s.decay.columns() > 0; ++d)
      for (Index n = 0; n < values; ++n)
        state(d, n) *= std::exp(static_cast<double>(s.decay(t, s.decay.columns() == 1 ? 0 : d)));
    for (Index n = 0; n < values; ++n) {
      double learned = static_cast<double>(s.values(t, n));
      for (Index d = 0; d < keys && s.erase.columns() > 0; ++d)
        learned -= static_cast<double>(s.erase(t, d)) * state(d, n);
      for (Index d = 0; d < keys; ++d) {
        state(d, n) += static_cast<double>(s.write(t, d)) * learned;
        result.out(t, n) += static_cast<double>(s.queries(t, d)) * state(d, n);
      }
    }
  }
  return result;
}

template <class Arch = simd::Native, class Scalar>
Result<Scalar> forward(Sequence<Scalar> s) {
  Result<Scalar> result{Matrix<Scalar>(s.queries.rows(), s.values.columns(), Scalar(777)), s.state};
  Arena scratch;
  rules::delta_forward<Arch, Scalar>(s.rows(), result.state.view(), result.out.view(), {}, scratch);
  return result;
}
template <class Scalar>
Result<Scalar> recurrent(Sequence<Scalar> s) {
  Result<Scalar> result{Matrix<Scalar>(s.queries.rows(), s.values.columns(), Scalar(777)), s.state};
  Arena scratch;
  rules::delta_recurrent<simd::Native, Scalar>(s.rows(), result.state.view(), result.out.view(), scratch);
  return result;
}

/// The gradients of all inputs and of the initial state, for those of the outputs and of the final state.
template <class Arch = simd::Native, class Scalar>
Sequence<Scalar> backward(Sequence<Scalar> s, const Matrix<Scalar>& d_out, const Matrix<Scalar>& d_state,
                          Index interval = 2) {
  const Index tokens = s.queries.rows(), keys = s.state.rows(), values = s.state.columns();
  rules::DeltaCheckpoints<Scalar> checkpoints{nullptr, interval};
  std::vector<Scalar> memory(static_cast<std::size_t>(checkpoints.size(tokens, keys, values)) + 1, Scalar(55));
  checkpoints.data = memory.data();
  Arena scratch;
  Matrix<Scalar> state = s.state, out(tokens, values);
  rules::delta_forward<Arch, Scalar>(s.rows(), state.view(), out.view(), checkpoints, scratch);
  Sequence<Scalar> d = s;
  for (auto* part : d.inputs()) *part = Matrix<Scalar>(part->rows(), part->columns(), Scalar(777));
  d.state = d_state;
  rules::delta_backward<Arch, Scalar>(s.rows(), checkpoints, d_out.view(), d.state.view(), d.rows(), scratch);
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
