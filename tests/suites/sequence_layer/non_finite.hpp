// SPDX-License-Identifier: MIT
/// @file
/// Contract 3 for inputs that are not finite, or so large that they overflow inside: what they reach, and what not.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "suites/sequence_layer.hpp"

namespace ttt::suites {

/// NaN, both infinities, and a finite number whose products overflow.
template <class Scalar>
inline constexpr std::array<Scalar, 4> poisons{
    std::numeric_limits<Scalar>::quiet_NaN(), std::numeric_limits<Scalar>::infinity(),
    -std::numeric_limits<Scalar>::infinity(), std::numeric_limits<Scalar>::max() / 2};

/// Where two runs disagree: elements are to have the same bits (with a tolerance, to be close for the largest finite
/// one), or to be infinite or NaN in both. Empty if nowhere.
template <class Scalar>
std::string disagreement(const testing::Parts<Scalar>& actual, const testing::Parts<Scalar>& expected,
                         double tolerance = 0) {
  for (std::size_t part = 0; part < expected.size(); ++part) {
    double largest = 0;
    for (const Scalar e : expected[part].values)
      if (std::isfinite(e)) largest = std::max(largest, std::abs(static_cast<double>(e)));
    for (std::size_t i = 0; i < expected[part].values.size(); ++i) {
      const Scalar a = actual[part].values[i], e = expected[part].values[i];
      if (!std::isfinite(a) && !std::isfinite(e)) continue;
      const bool close = tolerance > 0
                             ? std::abs(static_cast<double>(a) - static_cast<double>(e)) <= tolerance * largest
                             : testing::bits_differ(std::vector{a}, {e}).empty();
      if (!close)
        return expected[part].name + ": " +
               testing::describe(i, static_cast<double>(a), static_cast<double>(e), tolerance * largest);
    }
  }
  return {};
}

template <class Scalar>
bool all_finite(MatrixView<const Scalar> rows) {
  const auto parts = testing::parts_of(rows, "");
  return std::all_of(parts[0].values.begin(), parts[0].values.end(), [](Scalar value) { return std::isfinite(value); });
}

template <TrainableSequenceLayer Layer>
Report SequenceLayerSuite<Layer>::non_finite_values() const {
  Report report{"non-finite values", 0, {}};
  const Matrix x = runs_.random(3 * K() + 2, 95);
  for (const Index read : {Index{0}, (K() + 1) / 2})
    for (Index t = 0; t < x.rows(); ++t)
      for (const Scalar poison : poisons<Scalar>) poisoned_token(report, runs_.after(read), x, t, poison);
  poisoned_neighbour(report);
  poisoned_gradient(report);
  return report;
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::poisoned_token(Report& report, const State& start, const Matrix& x, Index t,
                                               Scalar poison) const {
  const std::string where =
      std::to_string(poison) + " at row " + std::to_string(t) + " after " + std::to_string(start.position);
  Matrix poisoned = x;
  poisoned(t, t % width()) = poison;
  State clean = start, at_once = start, recorded = start, streamed = start;
  const Matrix expected = runs_.read(x.view(), clean);
  const Matrix y = runs_.read(poisoned.view(), at_once);
  report.same_bits(where, testing::parts_of(y.rows(0, t), "rows before"),
                   testing::parts_of(expected.rows(0, t), "rows before"));
  report.expect(std::isfinite(poison) || !all_finite<Scalar>(y.rows(t, 1)), where + ": its own row hides it");

  Matrix other(x.rows(), width());
  const auto agrees = [&](const char* how, const State& state, double tolerance) {
    report.add(where + how, disagreement(testing::parts_of(std::as_const(other).view(), "y"),
                                         testing::parts_of(y.view(), "y"), tolerance));
    report.add(where + how + ", state",
               disagreement(testing::parts_of_state(state), testing::parts_of_state(at_once), tolerance));
  };
  Context context;
  Record record;
  runs_.forward(poisoned.view(), {{x.rows(), &recorded, false}}, other.view(), context, &record);
  agrees(", with a record", recorded, 0);
  const bool one_form = runs_.options().one_form;
  if (!one_form && std::isfinite(poison)) return;
  for (Index row = 0; row < x.rows(); ++row)
    copy(runs_.read(poisoned.rows(row, 1), streamed).view(), other.rows(row, 1));
  agrees(", token by token", streamed, one_form ? 0 : value_tolerance<Scalar>);
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::poisoned_neighbour(Report& report) const {
  const Index length = 2 * K() + 1;
  const typename Runs::Starts starts{
      {length, runs_.after(1), false}, {length, runs_.fresh(), false}, {length, runs_.after(K()), true}};
  const Matrix x = runs_.random(3 * length, 96), d_y = runs_.random(3 * length, 97);
  Context context;
  const Outcome<Layer> expected = runs_.together(starts, x.view(), d_y.view(), context);
  for (Index t = 0; t < length; ++t)
    for (const Scalar poison : poisons<Scalar>) {
      Matrix poisoned = x;
      poisoned(length + t, 0) = poison;
      const Outcome<Layer> outcome = runs_.together(starts, poisoned.view(), d_y.view(), context);
      for (const Index neighbour : {Index{0}, Index{2}}) {
        const std::string where = std::to_string(poison) + " beside sequence " + std::to_string(neighbour);
        const auto i = static_cast<std::size_t>(neighbour);
        const auto rows = [&](const Matrix& m, const char* name) {
          return testing::parts_of(m.rows(neighbour * length, length), name);
        };
        report.same_bits(where, rows(outcome.y, "y"), rows(expected.y, "y"));
        report.same_bits(where, rows(outcome.d_x, "d_x"), rows(expected.d_x, "d_x"));
        report.expect(outcome.states[i] == expected.states[i], where + ": another state");
        report.expect(outcome.d_states[i] == expected.d_states[i], where + ": another gradient of its state");
      }
    }
}

template <TrainableSequenceLayer Layer>
void SequenceLayerSuite<Layer>::poisoned_gradient(Report& report) const {
  const Index length = 3 * K() + 2;
  const typename Runs::Starts starts{{length, runs_.after(1), false}, {K(), runs_.fresh(), false}};
  const Matrix x = runs_.random(length + K(), 98), d_y = runs_.random(length + K(), 99);
  Context context;
  const Outcome<Layer> expected = runs_.together(starts, x.view(), d_y.view(), context);
  for (Index t = 0; t < length; ++t)
    for (const Scalar poison : poisons<Scalar>) {
      Matrix poisoned = d_y;
      poisoned(t, t % width()) = poison;
      const Outcome<Layer> outcome = runs_.together(starts, x.view(), poisoned.view(), context);
      const auto later = [&](const Matrix& m) {
        return testing::parts_of(m.rows(t + 1, m.rows() - t - 1), "d_x of later rows and of the next sequence");
      };
      report.same_bits(std::to_string(poison) + " in d_y of row " + std::to_string(t), later(outcome.d_x),
                       later(expected.d_x));
    }
}

}  // namespace ttt::suites
