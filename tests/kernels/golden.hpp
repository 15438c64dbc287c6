// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/numbers.hpp"
#include "support/golden.hpp"

namespace numbers {

/// One set of tests/golden/kernel. Its tolerance (1e-10 for values, 1e-9 for gradients, relative to
/// max(1, max |reference|)) leaves room for other orders of summation; agreement is about 1e-14.
class Golden {
 public:
  explicit Golden(const std::string& name) : set_(ttt::golden::load("kernel/" + name)) {}

  /// All leading dimensions as rows.
  Matrix<double> matrix(const std::string& name) const {
    const auto values = set_.at(name).matrix();
    Matrix<double> result(values.rows(), values.columns());
    ttt::copy(values, result.view());
    return result;
  }
  /// The first dimension, and the last but one: [B × T × C] holds B sequences of T tokens.
  Index batch(const std::string& name) const { return set_.at(name).shape.front(); }
  Index tokens(const std::string& name) const { return set_.at(name).shape.end()[-2]; }

  const std::vector<double>& values(const std::string& name) const { return set_.at(name).values; }
  std::vector<std::int64_t> integers(const std::string& name) const {
    std::vector<std::int64_t> result;
    for (const double value : values(name)) result.push_back(static_cast<std::int64_t>(value));
    return result;
  }

  void check_value(const std::string& name, const Matrix<double>& actual) const { check(name, actual, 1e-10); }
  void check_gradient(const std::string& name, const Matrix<double>& actual) const { check(name, actual, 1e-9); }

 private:
  void check(const std::string& name, const Matrix<double>& actual, double tolerance) const {
    const Matrix<double> expected = matrix(name);
    INFO(name);
    CHECK(difference(actual, expected) <= tolerance * std::max(1.0, largest(expected)));
  }

  ttt::golden::Set set_;
};

}  // namespace numbers
