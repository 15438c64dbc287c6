// SPDX-License-Identifier: MIT
/// @file
/// Transposes and packing: what products are fed with.
#pragma once

#include <algorithm>
#include <cstring>

#include "ttt/core/tensor.hpp"
#include "ttt/kernels/simd/squares.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// Writes Bᵀ [N × K] of a view B [K × N] into `to`.
template <class Scalar>
void transpose(MatrixView<const Scalar> from, MatrixView<std::type_identity_t<Scalar>> to) {
  constexpr Index small = simd::Pack<Scalar, simd::Short>::size, block = 64;
  for (Index first = 0; first < from.columns(); first += block) {
    const Index last = std::min(first + block, from.columns());
    Index k = 0;
    // Rows [k, k + size) in squares, as long as there are so many.
    const auto rows_of_squares = [&](Index size, auto&& square) TTT_INLINE_LAMBDA {
      for (; k + size <= from.rows(); k += size) {
        Index n = first;
        for (; n + size <= last; n += size) square(&from(k, n), from.stride(), &to(n, k), to.stride());
        for (; n < last; ++n)
          for (Index i = k; i < k + size; ++i) to(n, i) = from(i, n);
      }
    };
    if constexpr (simd::transposes_eight<Scalar>) rows_of_squares(8, simd::transpose_eight);
    rows_of_squares(small, simd::transpose_square<Scalar>);
    for (; k < from.rows(); ++k)
      for (Index n = first; n < last; ++n) to(n, k) = from(k, n);
  }
}

/// Packs the transpose: panels `to` [N × K] from panels `from` [K × N], as the backward `dx = dy · W` needs them. Only
/// panels [first, first + count) of `to` are written.
template <class Scalar>
void transpose_panels(PanelView<const Scalar> from, PanelView<std::type_identity_t<Scalar>> to, Index first = 0,
                      Index count = -1) {
  TTT_ASSERT(from.rows() == to.columns() && from.columns() == to.rows(), "a transpose swaps rows and columns");
  constexpr Index width = panel_width<Scalar>;
  const Index last = count < 0 ? to.count() : first + count;
  for (Index p = first; p < last; ++p)
    for (Index q = 0; q < from.count(); ++q) {
      const Index rows = std::min(width, to.rows() - q * width), columns = std::min(width, to.columns() - p * width);
      const MatrixView<Scalar> target(to.panel(p) + q * width * width, rows, width);
      transpose(MatrixView<const Scalar>(from.panel(q) + p * width * width, columns, rows, width),
                target.columns(0, columns));
      fill(target.columns(columns, width - columns), Scalar(0));
    }
}

/// Packs the columns of a view B [K × N] that panels [first, first + count) of `to` [K × N] hold; padding becomes zero.
template <class Scalar>
void pack_panels(MatrixView<const Scalar> from, PanelView<std::type_identity_t<Scalar>> to, Index first = 0,
                 Index count = -1) {
  TTT_ASSERT(from.rows() == to.rows() && from.columns() == to.columns(), "packing keeps the shape");
  constexpr Index width = panel_width<Scalar>;
  const Index last = count < 0 ? to.count() : first + count;
  for (Index k = 0; k < from.rows(); ++k)
    for (Index p = first; p < last; ++p) {
      const Index columns = std::min(width, from.columns() - p * width);
      Scalar* row = to.panel(p) + k * width;
      if (columns == width)  // memcpy is inline, which a copy that may overlap is not
        std::memcpy(row, from.row(k) + p * width, width * sizeof(Scalar));
      else
        std::fill_n(std::copy_n(from.row(k) + p * width, columns, row), width - columns, Scalar(0));
    }
}

}  // namespace kernels

TTT_NAMESPACE_END
