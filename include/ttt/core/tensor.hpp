// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "ttt/core/storage.hpp"
#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// Extents of a tensor of one to four dimensions, as published checkpoints write them.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<Index> extents) : rank_(static_cast<Index>(extents.size())) {
    TTT_ASSERT(rank_ <= 4, "a tensor has at most four dimensions");
    std::copy(extents.begin(), extents.end(), extents_.begin());
  }

  Index rank() const { return rank_; }
  Index operator[](Index axis) const { return extents_[static_cast<std::size_t>(axis)]; }
  Index size() const {
    Index product = 1;
    for (Index axis = 0; axis < rank_; ++axis) product *= (*this)[axis];
    return product;
  }
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<Index, 4> extents_{};
  Index rank_ = 0;
};

/// "[128 x 64]", for messages.
inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (Index axis = 0; axis < shape.rank(); ++axis) text += (axis ? " x " : "") + std::to_string(shape[axis]);
  return text + "]";
}

/// Columns of one weight panel. The same for every instruction set, so that panels can be shared between them.
template <class Scalar>
inline constexpr Index panel_width = alignment / static_cast<Index>(sizeof(Scalar));

/// A matrix B [K × N] packed for `kernels::matmul`: panels of `panel_width` columns, each [K × panel_width] and
/// contiguous, the last one padded with zeros. Element (k, n) is `panel(n / width)[k * width + n % width]`.
template <class Scalar>
class PanelView {
 public:
  static constexpr Index width = panel_width<std::remove_const_t<Scalar>>;

  constexpr PanelView() = default;
  constexpr PanelView(Scalar* data, Index rows, Index columns) : data_(data), rows_(rows), columns_(columns) {}
  template <class Other>
    requires(std::is_const_v<Scalar> && std::is_same_v<Other, std::remove_const_t<Scalar>>)
  constexpr PanelView(const PanelView<Other>& other)
      : PanelView(other.data(), other.rows(), other.columns()) {}

  constexpr Scalar* data() const { return data_; }
  constexpr Index rows() const { return rows_; }
  constexpr Index columns() const { return columns_; }
  constexpr Index count() const { return (columns_ + width - 1) / width; }
  constexpr Scalar* panel(Index p) const { return data_ + p * rows_ * width; }
  constexpr Scalar& operator()(Index k, Index n) const { return panel(n / width)[k * width + n % width]; }
  constexpr bool empty() const { return data_ == nullptr; }
  /// Scalars of storage, padding included.
  static constexpr Index storage_size(Index rows, Index columns) {
    return (columns + width - 1) / width * width * rows;
  }

 private:
  Scalar* data_ = nullptr;
  Index rows_ = 0;
  Index columns_ = 0;
};

/// How the elements of a tensor lie in memory.
enum class Layout {
  rows,   ///< row-major, contiguous
  panels  ///< a weight [out × … × in] as the panels of its transpose [in × out], ready for `x · Wᵀ`
};

/// A named parameter's memory: shape as published, layout as the kernels want it. `data == nullptr` means "not there":
/// an unbound parameter, or a gradient that is not wanted. Constness is deep.
template <class Scalar>
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Shape shape, Layout layout = Layout::rows) : shape_(shape), layout_(layout) {}

  const Shape& shape() const { return shape_; }
  Layout layout() const { return layout_; }
  Index size() const { return shape_.size(); }
  bool empty() const { return data_ == nullptr; }
  /// Scalars of storage, padding of panels included.
  Index storage_size() const {
    return layout_ == Layout::rows ? size() : PanelView<Scalar>::storage_size(inputs(), shape_[0]);
  }

  void bind(Scalar* data) { data_ = data; }
  Scalar* data() { return data_; }
  const Scalar* data() const { return data_; }

  /// Element by its row-major index in the published shape, whatever the layout.
  Scalar& operator[](Index index) { return data_[offset(index)]; }
  const Scalar& operator[](Index index) const { return data_[offset(index)]; }

  /// All leading dimensions as rows, the last as columns.
  MatrixView<Scalar> matrix() { return whole<Scalar>(data_); }
  MatrixView<const Scalar> matrix() const { return whole<const Scalar>(data_); }
  /// Entry `i` of the first dimension as a matrix: W1[h] of W1 [H × D × D].
  MatrixView<Scalar> slice(Index i) { return part<Scalar>(data_, i); }
  MatrixView<const Scalar> slice(Index i) const { return part<const Scalar>(data_, i); }
  VectorView<Scalar> vector() { return {data_, data_ ? size() : 0}; }
  VectorView<const Scalar> vector() const { return {data_, data_ ? size() : 0}; }
  /// The transpose [in × out] of a weight [out × … × in].
  PanelView<Scalar> panels() { return {data_, inputs(), shape_[0]}; }
  PanelView<const Scalar> panels() const { return {data_, inputs(), shape_[0]}; }

 private:
  Index offset(Index index) const {
    if (layout_ == Layout::rows) return index;
    constexpr Index width = PanelView<Scalar>::width;
    const Index out = index / inputs(), in = index % inputs();
    return (out / width * inputs() + in) * width + out % width;
  }
  Index columns() const { return shape_[shape_.rank() - 1]; }
  Index inputs() const { return size() / shape_[0]; }
  template <class Element>
  MatrixView<Element> whole(Element* data) const {
    TTT_ASSERT(layout_ == Layout::rows, "a panel tensor has no row-major view");
    return {data, size() / columns(), columns()};
  }
  template <class Element>
  MatrixView<Element> part(Element* data, Index i) const {
    TTT_ASSERT(layout_ == Layout::rows, "a panel tensor has no row-major view");
    const Index extent = size() / shape_[0];
    return {data ? data + i * extent : nullptr, extent / columns(), columns()};
  }

  Scalar* data_ = nullptr;
  Shape shape_;
  Layout layout_ = Layout::rows;
};

TTT_NAMESPACE_END
