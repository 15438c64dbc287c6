// SPDX-License-Identifier: MIT
/// @file
/// The border to Eigen: maps in, maps out, nothing copied.
#pragma once

#include <Eigen/Core>

#include <string>

#include "ttt/core/error.hpp"
#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// A row-major matrix, tokens as rows.
template <class Scalar>
using Tokens = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Views a row-major Eigen matrix, map, block or Ref; its memory stays where it is. Throws Error for an inner stride
/// that is not 1.
///
/// A column-major [C × T] matrix has the bytes of a row-major [T × C] one: pass it through `as_tokens` first.
template <class Derived>
auto view(Derived&& matrix) {
  using Plain = std::remove_cvref_t<Derived>;
  static_assert(
      Plain::IsRowMajor,
      "ttt::view needs a row-major matrix (tokens are rows); a column-major [C x T] matrix has the bytes of a "
      "row-major [T x C] one: pass ttt::as_tokens(matrix)");
  using Element = std::remove_pointer_t<decltype(matrix.data())>;
  if (matrix.innerStride() != 1 && matrix.cols() > 1)
    throw_unexpected("view of a matrix", "contiguous rows, an inner stride of 1",
                     "an inner stride of " + std::to_string(matrix.innerStride()));
  return MatrixView<Element>(matrix.data(), matrix.rows(), matrix.cols(), matrix.outerStride());
}

/// The same bytes of a column-major [C × T] matrix as row-major tokens [T × C]; copies nothing.
template <class Derived>
auto as_tokens(Derived&& matrix) {
  using Plain = std::remove_cvref_t<Derived>;
  static_assert(!Plain::IsRowMajor, "ttt::as_tokens is for column-major matrices; this one is row-major already");
  using Element = std::remove_pointer_t<decltype(matrix.data())>;
  using Matrix = Tokens<std::remove_const_t<Element>>;
  using Target = std::conditional_t<std::is_const_v<Element>, const Matrix, Matrix>;
  return Eigen::Map<Target, Eigen::Unaligned, Eigen::OuterStride<>>(matrix.data(), matrix.cols(), matrix.rows(),
                                                                    Eigen::OuterStride<>(matrix.outerStride()));
}

/// An Eigen map of a view.
template <class Scalar>
auto map(MatrixView<Scalar> view) {
  using Matrix = Tokens<std::remove_const_t<Scalar>>;
  using Target = std::conditional_t<std::is_const_v<Scalar>, const Matrix, Matrix>;
  return Eigen::Map<Target, Eigen::Unaligned, Eigen::OuterStride<>>(view.data(), view.rows(), view.columns(),
                                                                    Eigen::OuterStride<>(view.stride()));
}

TTT_NAMESPACE_END
