// SPDX-License-Identifier: MIT
/// @file
/// What the formulas of layers are made of, a token at a time, in plain loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "suites/layer_formula.hpp"

namespace ttt::formula_parts {

using suites::NamedWeight, suites::NamedWeights;
using testing::Matrix;

/// Columns of a token.
using Row = std::vector<double>;

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double silu(double x) { return x * sigmoid(x); }
inline Row silu(Row row) {
  for (double& x : row) x = silu(x);
  return row;
}

inline Row row_of(const Matrix<double>& x, Index t) { return {x.view().row(t), x.view().row(t) + x.columns()}; }
inline void assign(const Row& row, Matrix<double>& y, Index t) { std::copy(row.begin(), row.end(), y.view().row(t)); }

/// x Wᵀ of one token.
inline Row map(const NamedWeight& weight, const Row& x) {
  Row y(static_cast<std::size_t>(weight.rows()));
  for (Index n = 0; n < weight.rows(); ++n)
    for (Index c = 0; c < weight.columns(); ++c)
      y[static_cast<std::size_t>(n)] += weight(n, c) * x[static_cast<std::size_t>(c)];
  return y;
}

/// The convolution `name`weight, `name`bias of columns [first, first + C) at the last of `rows`, before its activation.
inline Row convolved(const NamedWeights& weights, const std::string& name, const std::vector<Row>& rows,
                     std::size_t first = 0) {
  const NamedWeight& taps = weights[name + "weight"];  // [C × 1 × taps]
  Row sums(static_cast<std::size_t>(taps.rows()));
  const auto t = static_cast<Index>(rows.size()) - 1;
  for (Index c = 0; c < taps.rows(); ++c) {
    double& sum = sums[static_cast<std::size_t>(c)];
    if (weights.has(name + "bias")) sum = weights[name + "bias"](0, c);
    for (Index j = 0; j < taps.columns(); ++j)
      if (const Index from = t - taps.columns() + 1 + j; from >= 0)
        sum += taps(c, j) * rows[static_cast<std::size_t>(from)][first + static_cast<std::size_t>(c)];
  }
  return sums;
}

}  // namespace ttt::formula_parts
