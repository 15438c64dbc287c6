// SPDX-License-Identifier: MIT
/// @file
/// What the tests of kernels and blocks share: reproducible numbers, matrices with rows that do not touch, bounds of
/// rounding and central differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "ttt/core/function_ref.hpp"
#include "ttt/core/random.hpp"
#include "ttt/core/view.hpp"

namespace numbers {

using ttt::Index;
using ttt::MatrixView;
using ttt::VectorView;

/// A matrix that owns its elements, with `gap` scalars of NaN behind each row: reading them spoils a result, writing
/// them is found by `gaps_untouched`.
template <class Scalar>
class Matrix {
 public:
  explicit Matrix(Index rows, Index columns, Index gap = 3)
      : rows_(rows),
        columns_(columns),
        stride_(columns + gap),
        values_(static_cast<std::size_t>(rows * (columns + gap) + 1), std::numeric_limits<Scalar>::quiet_NaN()) {
    ttt::fill(view(), Scalar(0));
  }
  /// Standard normal numbers times `scale`, the same for every scalar type.
  Matrix(Index rows, Index columns, std::string_view name, double scale = 1) : Matrix(rows, columns) {
    const ttt::RandomStream random(11, name);
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < columns; ++c)
        view()(r, c) = static_cast<Scalar>(scale * random.normal(static_cast<std::uint64_t>(r * columns + c)));
  }

  // The first element is not aligned to a pack.
  MatrixView<Scalar> view() { return {values_.data() + 1, rows_, columns_, stride_}; }
  MatrixView<const Scalar> view() const { return {values_.data() + 1, rows_, columns_, stride_}; }
  Scalar* row(Index r) { return view().row(r); }
  const Scalar* row(Index r) const { return view().row(r); }
  Scalar& operator()(Index r, Index c) { return view()(r, c); }
  Scalar operator()(Index r, Index c) const { return view()(r, c); }
  /// Row 0 as a vector.
  VectorView<Scalar> vector() { return {row(0), columns_}; }
  VectorView<const Scalar> vector() const { return {row(0), columns_}; }

  bool gaps_untouched() const {
    bool untouched = std::isnan(values_[0]);
    for (Index r = 0; r < rows_; ++r)
      for (Index c = columns_; c < stride_; ++c) untouched = untouched && std::isnan(view().row(r)[c]);
    return untouched;
  }
  template <class Other>
  Matrix<Other> as() const {
    Matrix<Other> converted(rows_, columns_);
    for (Index r = 0; r < rows_; ++r)
      for (Index c = 0; c < columns_; ++c) converted(r, c) = static_cast<Other>((*this)(r, c));
    return converted;
  }

 private:
  Index rows_, columns_, stride_;
  std::vector<Scalar> values_;
};

/// Largest magnitude; a NaN makes it NaN.
template <class Scalar>
double largest(MatrixView<const Scalar> a) {
  double result = 0;
  for (Index r = 0; r < a.rows(); ++r)
    for (Index c = 0; c < a.columns(); ++c) {
      const auto value = std::abs(static_cast<double>(a(r, c)));
      if (!(value <= result)) result = value;
    }
  return result;
}
template <class Scalar>
double largest(const Matrix<Scalar>& a) {
  return largest(a.view());
}

/// Largest difference of two matrices of any two scalars; a NaN makes it NaN.
template <class First, class Second>
double difference(const Matrix<First>& a, const Matrix<Second>& b) {
  Matrix<double> delta(a.view().rows(), a.view().columns());
  REQUIRE(a.view().rows() == b.view().rows());
  REQUIRE(a.view().columns() == b.view().columns());
  for (Index r = 0; r < a.view().rows(); ++r)
    for (Index c = 0; c < a.view().columns(); ++c)
      delta(r, c) = static_cast<double>(a(r, c)) - static_cast<double>(b(r, c));
  return largest(delta);
}

/// Bitwise equality of the elements.
template <class First, class Second>
bool same_bits(MatrixView<First> a, MatrixView<Second> b) {
  using Scalar = std::remove_const_t<First>;
  static_assert(std::is_same_v<Scalar, std::remove_const_t<Second>>);
  bool same = a.rows() == b.rows() && a.columns() == b.columns();
  for (Index r = 0; same && r < a.rows(); ++r)
    same = std::memcmp(a.row(r), b.row(r), sizeof(Scalar) * static_cast<std::size_t>(a.columns())) == 0;
  return same;
}
template <class Scalar>
bool same_bits(const Matrix<Scalar>& a, const Matrix<Scalar>& b) {
  return same_bits(a.view(), b.view());
}

/// Rounding of a chain of `length` additions whose partial sums stay below `magnitude`, each half an ulp, the other
/// half and 16 ulp more left to the element-wise operations around it.
template <class Scalar>
double rounding(Index length, double magnitude) {
  return static_cast<double>(length + 16) * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * magnitude;
}

/// Sum of a ∘ b: a scalar loss whose gradient in a is b.
inline double inner_product(const Matrix<double>& a, const Matrix<double>& b) {
  double sum = 0;
  for (Index r = 0; r < a.view().rows(); ++r)
    for (Index c = 0; c < a.view().columns(); ++c) sum += a(r, c) * b(r, c);
  return sum;
}

/// |numeric − analytic| <= 1e-7 · max(1, max |analytic|) for every element of `values`, whose `loss` is differenced.
/// With steps of 1e-5 truncation is about 2e-11 · |third derivative| and rounding 1e-11 · |loss|.
inline void check_gradient(MatrixView<double> values, MatrixView<const double> analytic,
                           ttt::FunctionRef<double()> loss) {
  constexpr double step = 1e-5;
  const double bound = 1e-7 * std::max(1.0, largest(analytic));
  double worst = 0;
  REQUIRE(values.rows() == analytic.rows());
  REQUIRE(values.columns() == analytic.columns());
  for (Index r = 0; r < values.rows(); ++r)
    for (Index c = 0; c < values.columns(); ++c) {
      const double value = values(r, c);
      values(r, c) = value + step;
      const double above = loss();
      values(r, c) = value - step;
      const double below = loss();
      values(r, c) = value;
      const double error = std::abs((above - below) / (2 * step) - analytic(r, c));
      if (!(error <= worst)) worst = error;
    }
  CHECK(worst <= bound);
}
inline void check_gradient(Matrix<double>& values, const Matrix<double>& analytic, ttt::FunctionRef<double()> loss) {
  check_gradient(values.view(), analytic.view(), loss);
}

}  // namespace numbers
