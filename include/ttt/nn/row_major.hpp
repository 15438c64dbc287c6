// SPDX-License-Identifier: MIT
/// @file
/// The elements of a Tensor in row-major order, as files and other libraries have them, whatever its layout.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "ttt/core/finite.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/kernels/matmul/pack.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

namespace detail {

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

}  // namespace detail

/// How many elements `assign` takes at once: whole panels of a weight.
template <class Scalar>
std::size_t assigned_at_once(const Tensor<Scalar>& tensor) {
  constexpr std::size_t some = std::size_t{1} << 15;
  if (tensor.layout() == Layout::rows || tensor.size() == 0) return some;
  return static_cast<std::size_t>(tensor.size() / tensor.shape()[0] * panel_width<Scalar>);
}

/// Assigns the elements from `first` on, row-major, `assigned_at_once` of them or what remains; a multiple of so many
/// lie before. What a bfloat16 weight keeps is rounded. Padding is left alone.
template <class Scalar>
void assign(Tensor<Scalar>& tensor, Index first, std::span<const Scalar> values) {
  if (tensor.layout() == Layout::rows) {
    std::copy(values.begin(), values.end(), tensor.data() + first);
    return;
  }
  const Index inputs = tensor.size() / tensor.shape()[0], row = first / inputs;
  const MatrixView<const Scalar> rows(values.data(), static_cast<Index>(values.size()) / inputs, inputs);
  if constexpr (std::is_same_v<Scalar, float>)
    if (tensor.layout() == Layout::bfloat16_panels) return detail::assign_narrow(tensor, row, rows);
  const auto panels = tensor.panels();
  kernels::transpose(rows, MatrixView<Scalar>(panels.panel(row / panels.width), inputs, rows.rows(), panels.width));
}

/// All elements.
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

/// The first of `values` that `tensor` would not keep as a finite number: NaN, infinite or, where it keeps bfloat16,
/// rounded to infinity; their end if there is none.
template <class Scalar>
auto find_not_kept(const Tensor<Scalar>& tensor, std::span<const Scalar> values) {
  if constexpr (std::is_same_v<Scalar, float>)
    if (tensor.layout() == Layout::bfloat16_panels) return find_not_finite(values, rounded_to_bfloat16);
  return find_not_finite(values);
}

}  // namespace nn

TTT_NAMESPACE_END
