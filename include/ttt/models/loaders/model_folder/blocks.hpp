// SPDX-License-Identifier: MIT
/// @file
/// The elements of stored tensors, some at a time: a model is read without a second copy of it in memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "ttt/core/finite.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/kernels/matmul/pack.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

inline constexpr std::size_t block_size = std::size_t{1} << 15;

/// A tensor in a mapped file: what messages call it, what it is, and its bytes.
struct StoredTensor {
  std::string subject;
  const io::TensorInfo* info;
  std::span<const std::byte> bytes;
};

/// Gives mapped bytes back when some megabytes of them have been read: one by one would cost as much as the reading.
class ReadPages {
 public:
  explicit ReadPages(std::span<const std::byte> bytes) : bytes_(bytes) {}
  ~ReadPages() { release(bytes_.size()); }
  ReadPages(const ReadPages&) = delete;
  ReadPages& operator=(const ReadPages&) = delete;

  void read_up_to(std::size_t end) {
    if (end - released_ >= enough) release(end);
  }

 private:
  static constexpr std::size_t enough = std::size_t{1} << 22;

  // The last page is not whole yet, so that the next release begins with it.
  void release(std::size_t end) {
    io::release_pages(bytes_.subspan(released_, end - released_));
    released_ = end - std::min(end, page);
  }
  static constexpr std::size_t page = 4096;

  std::span<const std::byte> bytes_;
  std::size_t released_ = 0;
};

/// Calls body(first, values) with the elements from `first` on, `each` at a time: where they lie if they are aligned
/// Scalars there, else converted, F64 rounded. Throws Error for a type that is no floating one.
template <class Scalar, class Body>
void for_each_block(const StoredTensor& tensor, std::size_t each, Body&& body) {
  const std::size_t count = tensor.info->count(), size = io::dtype_size(tensor.info->dtype);
  const auto* data = tensor.bytes.data();
  const bool in_place =
      tensor.info->dtype == io::dtype_of<Scalar> && reinterpret_cast<std::uintptr_t>(data) % alignof(Scalar) == 0;
  io::TensorInfo part = *tensor.info;
  part.shape = {0};
  part.begin = 0;
  ReadPages pages(tensor.bytes);
  std::vector<Scalar> converted(in_place ? 0 : std::min(each, count));
  for (std::size_t first = 0; first < count; first += each) {
    const std::size_t length = std::min(each, count - first);
    const auto bytes = tensor.bytes.subspan(first * size, length * size);
    std::span<const Scalar> values(reinterpret_cast<const Scalar*>(bytes.data()), length);
    if (!in_place) {
      part.shape[0] = static_cast<std::int64_t>(length);
      part.end = bytes.size();
      const std::span<Scalar> target(converted.data(), length);
      io::read_tensor(part, bytes, target, io::Narrowing::rounded, tensor.subject);
      values = target;
    }
    body(first, values);
    pages.read_up_to((first + length) * size);
  }
}

/// "[3, 0, 7]" for the element `index` of a row-major tensor.
inline std::string element_text(std::vector<std::int64_t> shape, std::size_t index) {
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
    const auto size = static_cast<std::size_t>(*extent);
    *extent = static_cast<std::int64_t>(index % size);
    index /= size;
  }
  return io::shape_text(shape);
}

/// Throws Error for a NaN or an infinity among the elements from `first` on of a tensor.
template <class Scalar>
void check_finite(std::span<const Scalar> values, std::size_t first, const std::vector<std::int64_t>& shape,
                  const std::string& subject) {
  bool all = true;  // without an early end, so that compilers check many at once
  for (const Scalar value : values) all &= is_finite(value);
  if (all) return;
  const auto bad = std::find_if_not(values.begin(), values.end(), is_finite<Scalar>) - values.begin();
  throw_unexpected(subject, "finite numbers",
                   "NaN or infinity at " + element_text(shape, first + static_cast<std::size_t>(bad)));
}

/// Elements that are assigned at once: whole panels of a weight.
template <class Scalar>
std::size_t assigned_at_once(const Tensor<Scalar>& tensor) {
  if (tensor.layout() == Layout::rows || tensor.size() == 0) return block_size;
  return static_cast<std::size_t>(tensor.size() / tensor.shape()[0] * panel_width<Scalar>);
}

/// Assigns the panel of rows [first row, …) of a bfloat16 weight.
inline void assign_narrow(Tensor<float>& tensor, Index first, MatrixView<const float> rows) {
  using Panels = Bfloat16PanelView;
  std::vector<float> panel(static_cast<std::size_t>(rows.columns() * Panels::width));
  kernels::transpose(rows, MatrixView<float>(panel.data(), rows.columns(), rows.rows(), Panels::width));
  float* to = tensor.data() + first / Panels::width * rows.columns() * Panels::words;
  for (Index k = 0; k < rows.columns(); ++k) {
    const float* from = panel.data() + k * Panels::width;
    std::array<std::uint32_t, Panels::words> pairs;
    for (std::size_t j = 0; j < pairs.size(); ++j)
      pairs[j] = float_to_bfloat16(from[j]) | std::uint32_t{float_to_bfloat16(from[j + pairs.size()])} << 16;
    std::memcpy(to + k * Panels::words, pairs.data(), sizeof pairs);
  }
}

/// Assigns the elements from `first` on, row-major, `assigned_at_once` of them or what remains. Padding is left alone.
template <class Scalar>
void assign(Tensor<Scalar>& tensor, Index first, std::span<const Scalar> values) {
  if (tensor.layout() == Layout::rows) {
    std::copy(values.begin(), values.end(), tensor.data() + first);
    return;
  }
  const Index inputs = tensor.size() / tensor.shape()[0], row = first / inputs;
  const MatrixView<const Scalar> rows(values.data(), static_cast<Index>(values.size()) / inputs, inputs);
  if constexpr (std::is_same_v<Scalar, float>)
    if (tensor.layout() == Layout::bfloat16_panels) return assign_narrow(tensor, row, rows);
  const auto panels = tensor.panels();
  kernels::transpose(rows, MatrixView<Scalar>(panels.panel(row / panels.width), inputs, rows.rows(), panels.width));
}

/// The elements of a parameter, row-major.
template <class Scalar>
std::vector<Scalar> row_major(const Tensor<Scalar>& tensor) {
  std::vector<Scalar> values(static_cast<std::size_t>(tensor.size()));
  if (tensor.layout() != Layout::panels) {
    for (Index i = 0; i < tensor.size(); ++i) values[static_cast<std::size_t>(i)] = tensor[i];
    return values;
  }
  const auto panels = tensor.panels();
  for (Index p = 0; p < panels.count(); ++p) {
    const Index first = p * panels.width, rows = std::min(panels.width, panels.columns() - first);
    kernels::transpose(MatrixView<const Scalar>(panels.panel(p), panels.rows(), rows, panels.width),
                       MatrixView<Scalar>(values.data() + first * panels.rows(), rows, panels.rows()));
  }
  return values;
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
