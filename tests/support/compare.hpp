// SPDX-License-Identifier: MIT
/// @file
/// Comparisons that say what they found: an empty text means equal.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "ttt/core/parameters.hpp"
#include "ttt/core/state.hpp"

namespace ttt::testing {

/// A named tensor taken out of a State or of Parameters, in row-major order of its published shape.
template <class Scalar>
struct Part {
  std::string name;
  std::vector<Scalar> values;
};
template <class Scalar>
using Parts = std::vector<Part<Scalar>>;

template <class Scalar>
Parts<Scalar> parts_of(MatrixView<const Scalar> matrix, const std::string& name) {
  Part<Scalar> part{name, {}};
  for (Index r = 0; r < matrix.rows(); ++r)
    part.values.insert(part.values.end(), matrix.row(r), matrix.row(r) + matrix.columns());
  return {part};
}

/// Every part of a state; nobody's and a moved-from one have none.
template <class Scalar>
Parts<Scalar> parts_of_state(const State<Scalar>& state) {
  Parts<Scalar> parts;
  if (!state.whole()) return parts;
  for (const StatePart& part : state.layout->parts()) parts.push_back(parts_of(state[part], part.name)[0]);
  return parts;
}
/// Place i of a part of a state, in row-major order.
template <class Scalar>
Scalar& place_of(State<Scalar>& state, const StatePart& part, Index i) {
  return state[part](i / part.columns, i % part.columns);
}

/// Every bound tensor that `visit` of a struct of parameters shows.
template <class Parameters>
Parts<typename Parameters::Scalar> parts_of_parameters(Parameters parameters) {
  using Scalar = typename Parameters::Scalar;
  Parts<Scalar> parts;
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    if (tensor.empty()) return;
    Part<Scalar> part{std::string(name), {}};
    for (Index i = 0; i < tensor.size(); ++i) part.values.push_back(tensor[i]);
    parts.push_back(std::move(part));
  });
  return parts;
}

template <class Scalar>
double largest_magnitude(const std::vector<Scalar>& values) {
  double largest = 0;
  for (const Scalar value : values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

/// "element 7 is 1.25, expected 1.5, bound 1e-12".
inline std::string describe(std::size_t index, double actual, double expected, double bound) {
  std::ostringstream text;
  text.precision(17);
  text << "element " << index << " is " << actual << ", expected " << expected;
  text.precision(3);
  text << ", difference " << actual - expected << ", bound " << bound;
  return text.str();
}

/// Equal bits, element by element.
template <class Scalar>
std::string bits_differ(const std::vector<Scalar>& actual, const std::vector<Scalar>& expected) {
  if (actual.size() != expected.size())
    return std::to_string(actual.size()) + " values, expected " + std::to_string(expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    if (std::memcmp(&actual[i], &expected[i], sizeof(Scalar)) != 0)
      return describe(i, static_cast<double>(actual[i]), static_cast<double>(expected[i]), 0) + " (bit for bit)";
  return {};
}

/// |actual − expected| ≤ tolerance · max |expected|; a NaN is never close, the worst element is reported.
template <class Scalar>
std::string far_apart(const std::vector<Scalar>& actual, const std::vector<Scalar>& expected, double tolerance) {
  if (actual.size() != expected.size())
    return std::to_string(actual.size()) + " values, expected " + std::to_string(expected.size());
  const double bound = tolerance * largest_magnitude(expected);
  double worst = bound;
  std::string text;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double difference = std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    if (difference <= worst) continue;
    text = describe(i, static_cast<double>(actual[i]), static_cast<double>(expected[i]), bound);
    if (std::isnan(difference)) break;
    worst = difference;
  }
  return text;
}

/// What a check found. A test asserts `failures.empty()` and that something was compared at all.
struct Report {
  std::string check;
  Index comparisons = 0;
  std::vector<std::string> failures;

  void expect(bool holds, const std::string& failure) {
    ++comparisons;
    if (!holds) failures.push_back(failure);
  }
  /// Adds the finding of a comparison, an empty one being a success.
  void add(const std::string& where, const std::string& finding) { expect(finding.empty(), where + ": " + finding); }

  template <class Scalar>
  void same_bits(const std::string& where, const Parts<Scalar>& actual, const Parts<Scalar>& expected) {
    each(where, actual, expected, [](const auto& a, const auto& e) { return bits_differ(a, e); });
  }
  template <class Scalar>
  void close(const std::string& where, const Parts<Scalar>& actual, const Parts<Scalar>& expected, double tolerance) {
    each(where, actual, expected, [&](const auto& a, const auto& e) { return far_apart(a, e, tolerance); });
  }

  /// The first failures, one a line.
  std::string text() const {
    std::string lines =
        check + ": " + std::to_string(failures.size()) + " of " + std::to_string(comparisons) + " failed";
    for (std::size_t i = 0; i < std::min<std::size_t>(failures.size(), 12); ++i) lines += "\n  " + failures[i];
    return lines;
  }

 private:
  template <class Scalar, class Compare>
  void each(const std::string& where, const Parts<Scalar>& actual, const Parts<Scalar>& expected, Compare compare) {
    expect(actual.size() == expected.size(), where + ": the number of tensors differs");
    for (std::size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
      expect(actual[i].name == expected[i].name,
             where + ": found " + actual[i].name + ", expected " + expected[i].name);
      add(where + ": " + actual[i].name, compare(actual[i].values, expected[i].values));
    }
  }
};

}  // namespace ttt::testing
