// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "ttt/core/random.hpp"
#include "ttt/core/view.hpp"

namespace ttt::testing {

/// A row-major matrix that owns its values: a value, so that results can be kept and compared.
template <class Scalar>
class Matrix {
 public:
  Matrix() = default;
  Matrix(Index rows, Index columns, Scalar value = Scalar(0))
      : rows_(rows), columns_(columns), values_(static_cast<std::size_t>(rows * columns) + 1, value) {}

  Index rows() const { return rows_; }
  Index columns() const { return columns_; }
  Scalar& operator()(Index r, Index c) { return values_[static_cast<std::size_t>(r * columns_ + c)]; }
  Scalar operator()(Index r, Index c) const { return values_[static_cast<std::size_t>(r * columns_ + c)]; }

  MatrixView<Scalar> view() { return {values_.data(), rows_, columns_}; }
  MatrixView<const Scalar> view() const { return {values_.data(), rows_, columns_}; }
  MatrixView<Scalar> rows(Index first, Index count) { return view().rows(first, count); }
  MatrixView<const Scalar> rows(Index first, Index count) const { return view().rows(first, count); }

  bool operator==(const Matrix&) const = default;

 private:
  Index rows_ = 0;
  Index columns_ = 0;
  std::vector<Scalar> values_;  // one more than needed, so that a matrix without rows is no "not wanted" view
};

/// Standard normal numbers times `scale`; the same for the same seed on every machine, up to the rounding of Scalar.
template <class Scalar>
Matrix<Scalar> random_matrix(Index rows, Index columns, std::uint64_t seed, double scale = 1) {
  const RandomStream random(seed, "random_matrix");
  Matrix<Scalar> matrix(rows, columns);
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < columns; ++c)
      matrix(r, c) = static_cast<Scalar>(scale * random.normal(static_cast<std::uint64_t>(r * columns + c)));
  return matrix;
}

}  // namespace ttt::testing
