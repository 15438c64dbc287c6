// SPDX-License-Identifier: MIT
/// @file
/// The elements of stored tensors, some at a time: a model is read without a second copy of it in memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ttt/core/finite.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/kernels/matmul/pack.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

inline constexpr std::size_t block_size = std::size_t{1} << 15;

/// A tensor in a file: what messages call it, what it is, and its bytes.
struct StoredTensor {
  std::string subject;
  const io::TensorInfo* info;
  std::span<const std::byte> bytes;
};

/// Calls body(first, values) with the elements from `first` on, `each` at a time: where they lie if they are aligned
/// Scalars there, else converted, F64 rounded. Throws Error for a type that is no floating one.
template <class Scalar, class Body>
void for_each_block(const StoredTensor& tensor, std::size_t each, Body&& body) {
  const std::size_t count = tensor.info->count(), size = io::dtype_size(tensor.info->dtype);
  const auto* data = tensor.bytes.data();
  const bool in_place =
      tensor.info->dtype == io::dtype_of<Scalar> && reinterpret_cast<std::uintptr_t>(data) % alignof(Scalar) == 0;
  io::TensorInfo part{tensor.info->name, tensor.info->dtype, {0}};
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

/// Assigns the elements from `first` on, row-major, `assigned_at_once` of them or what remains. Padding is left alone.
template <class Scalar>
void assign(Tensor<Scalar>& tensor, Index first, std::span<const Scalar> values) {
  const auto count = static_cast<Index>(values.size());
  if (tensor.layout() == Layout::rows) {
    std::copy(values.begin(), values.end(), tensor.data() + first);
  } else if (tensor.layout() == Layout::panels) {
    const auto panels = tensor.panels();
    const Index rows = count / panels.rows();
    kernels::transpose(MatrixView<const Scalar>(values.data(), rows, panels.rows()),
                       MatrixView<Scalar>(panels.panel(first / panels.rows() / panels.width), panels.rows(), rows,
                                          panels.width));
  } else {
    for (Index i = 0; i < count; ++i) tensor.set(first + i, values[static_cast<std::size_t>(i)]);
  }
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
