// SPDX-License-Identifier: MIT
/// @file
/// The library's own matrix product. Element (r, n) of a product is one chain of fused multiply-adds over k = 0, 1, …,
/// started at zero or at what the output holds, whatever the number of rows, the tile, the thread or the other rows:
/// the same row gives the same bits alone and among a thousand (contract 4).
#pragma once

#include <algorithm>

#include "ttt/core/storage.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/kernels/matmul/tile.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Inner dimension per pass: a slice of the right factor (128 bytes a row) stays in the first-level cache beside the
/// tiles. Passes continue the chain from the output.
inline constexpr Index inner_block = 192;
/// Rows per pass: the left factor's block stays in the second-level cache while all slices go by.
template <class Scalar>
inline constexpr Index row_block = 384 / static_cast<Index>(sizeof(Scalar));
/// Fewer rows, or fewer panels, are not worth a copy of the left factor.
inline constexpr Index packed_rows = 13, packed_panels = 3;

/// Length of equal blocks of [0, total), at most `most`, in multiples of `unit`.
inline Index block_length(Index total, Index most, Index unit) {
  const Index count = std::max<Index>(1, (total + most - 1) / most);
  return std::max(unit, (total + count * unit - 1) / (count * unit) * unit);
}

/// A copy of a left factor without gaps: rows of a transposed or power-of-two distant layout share few cache sets.
template <class Scalar>
Left<Scalar> packed(const Left<Scalar>& a, Scalar* to) {
  if (a.row_stride == 1) {
    for (Index k = 0; k < a.columns; ++k) std::copy_n(a.data + k * a.column_stride, a.rows, to + k * a.rows);
    return {to, a.rows, a.columns, 1, a.rows};
  }
  for (Index r = 0; r < a.rows; ++r)
    for (Index k = 0; k < a.columns; ++k) to[r * a.columns + k] = a.data[r * a.row_stride + k * a.column_stride];
  return {to, a.rows, a.columns, a.columns, 1};
}

/// C (+)= A · B, panels [first, last), for rows [0, R) of one row block and one pass of the inner dimension from `k`.
template <class Arch, class Scalar>
void panel_pass(const Left<Scalar>& a, PanelView<const Scalar> b, Index k, MatrixView<Scalar> c, Output output,
                Index first, Index last) {
  constexpr Index width = panel_width<Scalar>;
  for (Index p = first; p < last; ++p) {
    const Scalar* next = p + 1 < last ? b.panel(p + 1) + k * width : b.panel(first) + (k + a.columns) * width;
    const Slice<Scalar> slice{b.panel(p) + k * width, width, next, a.columns * width * static_cast<Index>(sizeof(Scalar))};
    slice_product<Arch>(a, slice, std::min(width, b.columns() - p * width), c.data() + p * width, c.stride(), output);
  }
}

template <class Arch, bool Pack, class Scalar>
void panel_product(const Left<Scalar>& a, PanelView<const Scalar> b, MatrixView<Scalar> c, Output output, Index first,
                   Index last) {
  const Index inner = block_length(a.columns, inner_block, 1), rows = block_length(a.rows, row_block<Scalar>, 12);
  Scalar buffer[Pack ? row_block<Scalar> * inner_block : 1];
  for (Index r = 0; r < a.rows; r += rows)
    for (Index k = 0; k == 0 || k < a.columns; k += inner) {
      const Index count = std::min(rows, a.rows - r);
      Left<Scalar> part = a.block(r, count, k, std::min(inner, a.columns - k));
      if constexpr (Pack) part = packed(part, buffer);
      panel_pass<Arch>(part, b, k, c.rows(r, count), k == 0 ? output : Output::accumulate, first, last);
    }
}

/// One row: bound by reading B, and by latency unless two panels go at once.
template <class Arch, class Scalar>
void row_product(const Left<Scalar>& a, PanelView<const Scalar> b, Scalar* c, Output output, Index first, Index last) {
  using P = simd::Pack<Scalar, Arch>;
  constexpr Index width = panel_width<Scalar>;
  constexpr int packs = wide_packs<Scalar, Arch>;
  Index p = first;
  for (; p + 1 < last && (p + 2) * width <= b.columns(); p += 2)
    for (Index n = 0; n < width; n += packs * P::size)
      tile<P, 1, 2 * packs, packs>(a, b.panel(p) + n, width, b.rows() * width, c + p * width + n, 0, output);
  for (; p < last; ++p)
    slice_product<Arch>(a, Slice<Scalar>{b.panel(p), width}, std::min(width, b.columns() - p * width), c + p * width, 0,
                        output);
}

/// A copy of B [inner × columns], padded with zeros to a panel's width.
template <class Scalar>
Slice<Scalar> packed_slice(const Scalar* b, Index b_row, Index inner, Index columns, Scalar* to) {
  constexpr Index width = panel_width<Scalar>;
  if (columns == width)
    for (Index k = 0; k < inner; ++k) std::copy_n(b + k * b_row, width, to + k * width);
  else
    for (Index k = 0; k < inner; ++k)
      std::fill_n(std::copy_n(b + k * b_row, columns, to + k * width), width - columns, Scalar(0));
  return {to, width};
}

/// C (+)= A · B, B being copied first: for columns that do not fill packs.
template <class Arch, class Scalar>
void packed_slice_product(const Left<Scalar>& a, Slice<Scalar> b, Index columns, Scalar* c, Index c_row,
                          Output output) {
  alignas(alignment) Scalar buffer[inner_block * panel_width<Scalar>];
  slice_product<Arch>(a, packed_slice(b.data, b.row_stride, a.columns, columns, buffer), columns, c, c_row, output);
}

template <class Arch, class Scalar>
void plain_product(const Left<Scalar>& a, MatrixView<const Scalar> b, MatrixView<Scalar> c, Output output) {
  constexpr Index width = panel_width<Scalar>;
  constexpr Index narrow = wide_packs<Scalar, Arch> / 2 * simd::Pack<Scalar, Arch>::size;
  const Index inner = block_length(a.columns, inner_block, 1);
  for (Index k = 0; k == 0 || k < a.columns; k += inner, output = Output::accumulate)
    for (Index n = 0; n < b.columns(); n += width) {
      const Left<Scalar> part = a.block(0, a.rows, k, std::min(inner, a.columns - k));
      const Slice<Scalar> slice{b.row(k) + n, b.stride()};
      const Index columns = std::min(width, b.columns() - n);
      if (columns % narrow == 0)
        slice_product<Arch>(part, slice, columns, c.data() + n, c.stride(), output);
      else
        packed_slice_product<Arch>(part, slice, columns, c.data() + n, c.stride(), output);
    }
}

/// Panels, and rows of B, that are packed at once for a gradient, and rows of Aᵀ.
inline constexpr Index gradient_panels = 4, gradient_inner = 128;
template <class Scalar>
inline constexpr Index gradient_rows = 192 / static_cast<Index>(sizeof(Scalar));

/// Panels [first, last) of C += A · B, at most `gradient_panels`: both factors are packed, the slices of B once for all rows.
template <class Arch, class Scalar>
void gradient_product(const Left<Scalar>& a, MatrixView<const Scalar> b, PanelView<Scalar> c, Index first,
                      Index last) {
  constexpr Index width = panel_width<Scalar>;
  const Index inner = block_length(a.columns, gradient_inner, 1), rows = block_length(a.rows, gradient_rows<Scalar>, 12);
  alignas(alignment) Scalar slices[gradient_panels][gradient_inner * width], left[gradient_rows<Scalar> * gradient_inner];
  const auto columns = [&](Index p) { return std::min(width, c.columns() - p * width); };
  for (Index k = 0; k < a.columns; k += inner) {
    const Index depth = std::min(inner, a.columns - k);
    for (Index p = first; p < last; ++p)
      packed_slice(b.row(k) + p * width, b.stride(), depth, columns(p), slices[p - first]);
    for (Index r = 0; r < a.rows; r += rows) {
      const Left<Scalar> part = packed(a.block(r, std::min(rows, a.rows - r), k, depth), left);
      for (Index p = first; p < last; ++p)
        slice_product<Arch>(part, Slice<Scalar>{slices[p - first], width}, columns(p), c.panel(p) + r * width, width,
                            Output::accumulate);
    }
  }
}

}  // namespace detail

/// C [R × N] = (or +=) A [R × K] · B [K × N], all plain views. C must not overlap A or B. K = 0 assigns zeros.
template <class Arch = simd::Native, class Scalar>
void matmul(Left<Scalar> a, MatrixView<const std::type_identity_t<Scalar>> b,
            MatrixView<std::type_identity_t<Scalar>> c, Output output = Output::assign) {
  TTT_ASSERT(a.columns == b.rows() && a.rows == c.rows() && b.columns() == c.columns(), "shapes of a product disagree");
  detail::plain_product<Arch>(a, b, c, output);
}
template <class Arch = simd::Native, class Scalar>
void matmul(MatrixView<Scalar> a, MatrixView<const std::remove_const_t<Scalar>> b,
            MatrixView<std::remove_const_t<Scalar>> c, Output output = Output::assign) {
  matmul<Arch>(Left<std::remove_const_t<Scalar>>(a), b, c, output);
}

/// C [R × N] = (or +=) A [R × K] · B [K × N] for B in panels; the weights of `x · Wᵀ`. C must not overlap A.
///
/// Only panels [first, first + count) are computed: what a thread does of a product with few rows.
template <class Arch = simd::Native, class Scalar>
void matmul(Left<Scalar> a, PanelView<const std::type_identity_t<Scalar>> b,
            MatrixView<std::type_identity_t<Scalar>> c, Output output = Output::assign, Index first = 0,
            Index count = -1) {
  TTT_ASSERT(a.columns == b.rows() && a.rows == c.rows() && b.columns() == c.columns(), "shapes of a product disagree");
  const Index last = count < 0 ? b.count() : first + count;
  if (a.rows == 1)
    detail::row_product<Arch>(a, b, c.data(), output, first, last);
  else if (a.rows >= detail::packed_rows && last - first >= detail::packed_panels)
    detail::panel_product<Arch, true>(a, b, c, output, first, last);
  else
    detail::panel_product<Arch, false>(a, b, c, output, first, last);
}

/// Panels C [K × N] += Aᵀ · B for A [R × K], B [R × N]: the gradient of a weight in its own layout. Padding stays zero.
template <class Arch = simd::Native, class Scalar>
void matmul_to_panels(Left<Scalar> a_transposed, MatrixView<const std::type_identity_t<Scalar>> b,
                      PanelView<std::type_identity_t<Scalar>> c, Index first = 0, Index count = -1) {
  TTT_ASSERT(a_transposed.rows == c.rows() && b.columns() == c.columns() && a_transposed.columns == b.rows(),
             "shapes of a product disagree");
  const Index last = count < 0 ? c.count() : first + count;
  for (Index p = first; p < last; p += detail::gradient_panels)
    detail::gradient_product<Arch>(a_transposed, b, c, p, std::min(p + detail::gradient_panels, last));
}

/// Writes Bᵀ [N × K] of a view B [K × N] into `to`.
template <class Scalar>
void transpose(MatrixView<const Scalar> from, MatrixView<std::type_identity_t<Scalar>> to) {
  for (Index k = 0; k < from.rows(); ++k)
    for (Index n = 0; n < from.columns(); ++n) to(n, k) = from(k, n);
}

/// Packs the transpose: panels `to` [N × K] from panels `from` [K × N], as the backward `dx = dy · W` needs them.
template <class Scalar>
void transpose_panels(PanelView<const Scalar> from, PanelView<std::type_identity_t<Scalar>> to) {
  TTT_ASSERT(from.rows() == to.columns() && from.columns() == to.rows(), "a transpose swaps rows and columns");
  constexpr Index width = panel_width<Scalar>;
  for (Index p = 0; p < to.count(); ++p)
    for (Index n = 0; n < to.rows(); ++n) {
      const Scalar* source = from.panel(n / width) + p * width * width + n % width;
      Scalar* target = to.panel(p) + n * width;
      const Index columns = std::min(width, to.columns() - p * width);
      for (Index j = 0; j < columns; ++j) target[j] = source[j * width];
      for (Index j = columns; j < width; ++j) target[j] = Scalar(0);
    }
}

}  // namespace kernels

namespace reference {

/// C [R × N] (+)= A · B as three loops.
template <class Scalar>
void matmul(MatrixView<const Scalar> a, MatrixView<const Scalar> b, MatrixView<Scalar> c,
            kernels::Output output = kernels::Output::assign) {
  for (Index r = 0; r < c.rows(); ++r)
    for (Index n = 0; n < c.columns(); ++n) {
      Scalar sum = output == kernels::Output::assign ? Scalar(0) : c(r, n);
      for (Index k = 0; k < a.columns(); ++k) sum += a(r, k) * b(k, n);
      c(r, n) = sum;
    }
}

}  // namespace reference

TTT_NAMESPACE_END
