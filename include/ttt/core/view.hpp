// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// A row-major matrix in someone else's memory: tokens are rows, channels are columns, `stride` scalars between rows.
/// Copying a view copies the reference. A default view is empty and means "not wanted" where an output is optional.
template <class Scalar>
class MatrixView {
 public:
  using value_type = std::remove_const_t<Scalar>;

  constexpr MatrixView() = default;
  constexpr MatrixView(Scalar* data, Index rows, Index columns) : MatrixView(data, rows, columns, columns) {}
  constexpr MatrixView(Scalar* data, Index rows, Index columns, Index stride)
      : data_(data), rows_(rows), columns_(columns), stride_(stride) {}
  /// A mutable view converts to a read-only one.
  template <class Other>
  requires(std::is_const_v<Scalar>&& std::is_same_v<Other, value_type>) constexpr MatrixView(
      const MatrixView<Other>& other)
      : MatrixView(other.data(), other.rows(), other.columns(), other.stride()) {}

  constexpr Scalar* data() const { return data_; }
  constexpr Index rows() const { return rows_; }
  constexpr Index columns() const { return columns_; }
  constexpr Index stride() const { return stride_; }
  constexpr bool empty() const { return data_ == nullptr; }

  constexpr Scalar* row(Index r) const { return data_ + r * stride_; }
  constexpr Scalar& operator()(Index r, Index c) const { return data_[r * stride_ + c]; }

  /// Rows [first, first + count).
  constexpr MatrixView rows(Index first, Index count) const { return {row(first), count, columns_, stride_}; }
  /// Columns [first, first + count): a head, for example.
  constexpr MatrixView columns(Index first, Index count) const { return {data_ + first, rows_, count, stride_}; }

 private:
  Scalar* data_ = nullptr;
  Index rows_ = 0;
  Index columns_ = 0;
  Index stride_ = 0;
};

/// Contiguous values in someone else's memory; a default view is empty and means "not wanted".
template <class Scalar>
class VectorView {
 public:
  using value_type = std::remove_const_t<Scalar>;

  constexpr VectorView() = default;
  constexpr VectorView(Scalar* data, Index size) : data_(data), size_(size) {}
  /// A mutable view converts to a read-only one.
  template <class Other>
  requires(std::is_const_v<Scalar>&& std::is_same_v<Other, value_type>) constexpr VectorView(
      const VectorView<Other>& other)
      : VectorView(other.data(), other.size()) {}

  constexpr Scalar* data() const { return data_; }
  constexpr Index size() const { return size_; }
  constexpr bool empty() const { return data_ == nullptr; }
  constexpr Scalar& operator[](Index i) const { return data_[i]; }
  constexpr Scalar* begin() const { return data_; }
  constexpr Scalar* end() const { return data_ + size_; }

 private:
  Scalar* data_ = nullptr;
  Index size_ = 0;
};

/// Copies `from` into `to`, both [R × C].
template <class Scalar>
void copy(MatrixView<const Scalar> from, MatrixView<std::type_identity_t<Scalar>> to) {
  TTT_ASSERT(from.rows() == to.rows() && from.columns() == to.columns(), "copy needs equal shapes");
  for (Index r = 0; r < from.rows(); ++r)
    for (Index c = 0; c < from.columns(); ++c) to(r, c) = from(r, c);
}
template <class Scalar>
void copy(MatrixView<Scalar> from, MatrixView<std::type_identity_t<Scalar>> to) requires(!std::is_const_v<Scalar>) {
  copy(MatrixView<const Scalar>(from), to);
}

/// Sets every element of `to` to `value`.
template <class Scalar>
void fill(MatrixView<Scalar> to, std::type_identity_t<Scalar> value) {
  for (Index r = 0; r < to.rows(); ++r)
    for (Index c = 0; c < to.columns(); ++c) to(r, c) = value;
}

TTT_NAMESPACE_END
