// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstring>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "ttt/core/bfloat16.hpp"
#include "ttt/core/error.hpp"
#include "ttt/core/storage.hpp"
#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// Extents of a tensor of one to four dimensions, as published checkpoints write them.
class Shape {
 public:
  Shape() = default;
  /// Throws Error for more than four.
  Shape(std::initializer_list<Index> extents) : rank_(static_cast<Index>(extents.size())) {
    if (extents.size() > extents_.size())
      throw_unexpected("shape of a tensor", "at most four dimensions", std::to_string(rank_));
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
  requires(std::is_const_v<Scalar>&& std::is_same_v<Other, std::remove_const_t<Scalar>>) constexpr PanelView(
      const PanelView<Other>& other)
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

/// A matrix B [K × N] in bfloat16, packed like the panels of floats that it widens to, in half their memory: a row of a
/// panel is `words` pairs, one pair in the memory of a float, with column j in the lower half of pair j and column
/// j + words in the upper one. So the pairs of one pack widen to two packs of neighbouring columns, for every size of
/// pack. Padding is zero.
class Bfloat16PanelView {
 public:
  static constexpr Index width = panel_width<float>;
  static constexpr Index words = width / 2;

  constexpr Bfloat16PanelView() = default;
  constexpr Bfloat16PanelView(const float* data, Index rows, Index columns)
      : data_(data), rows_(rows), columns_(columns) {}

  constexpr const float* data() const { return data_; }
  constexpr Index rows() const { return rows_; }
  constexpr Index columns() const { return columns_; }
  constexpr Index count() const { return (columns_ + width - 1) / width; }
  constexpr const float* panel(Index p) const { return data_ + p * rows_ * words; }
  float operator()(Index k, Index n) const { return bfloat16_to_float(load(data_, offset(rows_, k, n))); }
  constexpr bool empty() const { return data_ == nullptr; }

  /// Floats of storage, padding included.
  static constexpr Index storage_size(Index rows, Index columns) {
    return (columns + width - 1) / width * words * rows;
  }
  /// Assigns element (k, n) of such panels at `data`, rounded.
  static void set(float* data, Index rows, Index k, Index n, float value) {
    const std::uint16_t bits = float_to_bfloat16(value);
    std::memcpy(reinterpret_cast<char*>(data) + 2 * offset(rows, k, n), &bits, sizeof bits);
  }

 private:
  // Of element (k, n), counted in bfloat16. Machines are little-endian: the lower half of a pair comes first.
  static constexpr Index offset(Index rows, Index k, Index n) {
    const Index column = n % width;
    return (n / width * rows + k) * width + 2 * (column % words) + column / words;
  }
  static std::uint16_t load(const float* data, Index offset) {
    std::uint16_t bits;
    std::memcpy(&bits, reinterpret_cast<const char*>(data) + 2 * offset, sizeof bits);
    return bits;
  }

  const float* data_ = nullptr;
  Index rows_ = 0;
  Index columns_ = 0;
};

/// How the elements of a tensor lie in memory.
enum class Layout {
  rows,            ///< row-major, contiguous
  panels,          ///< a weight [out × … × in] as the panels of its transpose [in × out], ready for `x · Wᵀ`
  bfloat16_panels  ///< the same in bfloat16, of a Tensor<float>: a weight that is read, not trained
};

inline const char* name_of(Layout layout) {
  switch (layout) {
    case Layout::panels:
      return "panels";
    case Layout::bfloat16_panels:
      return "panels of bfloat16";
    default:
      return "rows";
  }
}

namespace detail {
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_layout(const Shape& shape, Layout expected, Layout found) {
  throw_unexpected("layout of a tensor " + to_string(shape), name_of(expected), name_of(found));
}
}  // namespace detail

/// A named parameter's memory: shape as published, layout as the kernels want it. `data == nullptr` means "not there":
/// an unbound parameter, or a gradient that is not wanted. Constness is deep. A view of memory that is laid
/// out otherwise is an Error.
template <class Scalar>
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Shape shape, Layout layout = Layout::rows) : shape_(shape), layout_(layout) {
    TTT_ASSERT(layout != Layout::bfloat16_panels || is_float, "only a Tensor<float> can be bfloat16");
  }

  const Shape& shape() const { return shape_; }
  Layout layout() const { return layout_; }
  Index size() const { return shape_.size(); }
  bool empty() const { return data_ == nullptr; }
  /// Scalars of storage, padding of panels included.
  Index storage_size() const {
    switch (layout_) {
      case Layout::panels:
        return PanelView<Scalar>::storage_size(inputs(), shape_[0]);
      case Layout::bfloat16_panels:
        return Bfloat16PanelView::storage_size(inputs(), shape_[0]);
      default:
        return size();
    }
  }

  void bind(Scalar* data) { data_ = data; }
  Scalar* data() { return data_; }
  const Scalar* data() const { return data_; }

  /// Element by its row-major index in the published shape, whatever the layout.
  Scalar operator[](Index index) const {
    if constexpr (is_float)
      if (layout_ == Layout::bfloat16_panels) return bfloat16_panels()(index % inputs(), index / inputs());
    return data_[offset(index)];
  }
  /// The same to be changed, where it is a Scalar.
  Scalar& operator[](Index index) {
    TTT_ASSERT(layout_ != Layout::bfloat16_panels, "an element of bfloat16 has no reference");
    return data_[offset(index)];
  }
  /// Assigns an element whatever the layout, rounded if need be.
  void set(Index index, Scalar value) {
    if constexpr (is_float)
      if (layout_ == Layout::bfloat16_panels)
        return Bfloat16PanelView::set(data_, inputs(), index % inputs(), index / inputs(), value);
    data_[offset(index)] = value;
  }

  /// All leading dimensions as rows, the last as columns.
  MatrixView<Scalar> matrix() { return whole<Scalar>(data_); }
  MatrixView<const Scalar> matrix() const { return whole<const Scalar>(data_); }
  /// Entry `i` of the first dimension as a matrix: W1[h] of W1 [H × D × D].
  MatrixView<Scalar> slice(Index i) { return part<Scalar>(data_, i); }
  MatrixView<const Scalar> slice(Index i) const { return part<const Scalar>(data_, i); }
  VectorView<Scalar> vector() { return all<Scalar>(data_); }
  VectorView<const Scalar> vector() const { return all<const Scalar>(data_); }
  /// The transpose [in × out] of a weight [out × … × in].
  PanelView<Scalar> panels() { return packed<Scalar>(data_); }
  PanelView<const Scalar> panels() const { return packed<const Scalar>(data_); }
  Bfloat16PanelView bfloat16_panels() const requires(std::is_same_v<Scalar, float>) {
    require(Layout::bfloat16_panels);
    return {data_, inputs(), shape_[0]};
  }

 private:
  static constexpr bool is_float = std::is_same_v<Scalar, float>;

  void require(Layout layout) const {
    if (layout_ != layout && !empty()) detail::refuse_layout(shape_, layout, layout_);
  }
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
    require(Layout::rows);
    return {data, size() / columns(), columns()};
  }
  template <class Element>
  VectorView<Element> all(Element* data) const {
    require(Layout::rows);
    return {data, data ? size() : 0};
  }
  template <class Element>
  PanelView<Element> packed(Element* data) const {
    require(Layout::panels);
    return {data, inputs(), shape_[0]};
  }
  template <class Element>
  MatrixView<Element> part(Element* data, Index i) const {
    require(Layout::rows);
    const Index extent = size() / shape_[0];
    return {data ? data + i * extent : nullptr, extent / columns(), columns()};
  }

  Scalar* data_ = nullptr;
  Shape shape_;
  Layout layout_ = Layout::rows;
};

TTT_NAMESPACE_END
