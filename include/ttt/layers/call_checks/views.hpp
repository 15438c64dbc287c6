// SPDX-License-Identifier: MIT
/// @file
/// The rows of a call: their shape, their memory, and that none of it is another's.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>

#include "ttt/core/error.hpp"
#include "ttt/core/tensor.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Whether both views have an element in common. Columns of one matrix beside each other have none.
template <class Scalar>
TTT_INLINE bool overlap(MatrixView<const Scalar> a, MatrixView<const Scalar> b) {
  if (a.rows() < 1 || a.columns() < 1 || b.rows() < 1 || b.columns() < 1) return false;
  const std::less<const Scalar*> before;
  const Scalar* const a_end = a.row(a.rows() - 1) + a.columns();
  const Scalar* const b_end = b.row(b.rows() - 1) + b.columns();
  if (!before(a.data(), b_end) || !before(b.data(), a_end)) return false;
  const Index stride = a.rows() > 1 ? a.stride() : b.stride();
  if (stride < 1 || (b.rows() > 1 && b.stride() != stride)) return true;
  const Index offset = ((b.data() - a.data()) % stride + stride) % stride;
  return offset < a.columns() || offset + b.columns() > stride;
}

// Messages are made in functions of their own, never inlined: right calls pay for comparisons only.

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_call(const char* name, const char* what, const char* expected,
                                                               const char* found) {
  throw_unexpected(std::string(name) + ", " + what, expected, found);
}
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_matrix(const char* name, const char* what, Shape expected,
                                                                 Shape found) {
  const std::string text = expected == found ? "no memory" : to_string(found);
  refuse_call(name, what, to_string(expected).c_str(), text.c_str());
}
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_stride(const char* name, const char* what, Index columns,
                                                                 Index stride) {
  refuse_call(name, what, ("rows at least " + std::to_string(columns) + " scalars apart").c_str(),
              ("a stride of " + std::to_string(stride)).c_str());
}

/// Throws Error unless `view` is [rows × columns] in memory.
template <class Scalar>
TTT_INLINE void check_matrix(const char* name, const char* what, MatrixView<const Scalar> view, Index rows,
                             Index columns) {
  if (view.rows() != rows || view.columns() != columns || (rows != 0 && !view.data()))
    refuse_matrix(name, what, {rows, columns}, {view.rows(), view.columns()});
}
/// The same for rows that are written to, which must not overlap one another.
template <class Scalar>
TTT_INLINE void check_written(const char* name, const char* what, MatrixView<Scalar> view, Index rows, Index columns) {
  check_matrix<Scalar>(name, what, view, rows, columns);
  if (rows > 1 && std::abs(view.stride()) < columns) refuse_stride(name, what, columns, view.stride());
}

}  // namespace detail

TTT_NAMESPACE_END
