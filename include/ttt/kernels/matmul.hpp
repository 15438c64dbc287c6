// SPDX-License-Identifier: MIT
/// @file
/// The library's own matrix product. Element (r, n) of a product is one chain of fused multiply-adds over k = 0, 1, …,
/// started at zero or at what the output holds, whatever the number of rows, the tile, the thread or the other rows:
/// the same row gives the same bits alone and among a thousand (contract 4).
#pragma once

#include <algorithm>

#include "ttt/core/storage.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/kernels/matmul/pack.hpp"
#include "ttt/kernels/matmul/tile.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Inner dimension per pass: a slice of the right factor (128 bytes a row) stays in the first-level cache beside the
/// tiles. Passes continue the chain from the output. With 512-bit packs, whose tiles are twice as high, the slice may
/// as well come from the second level: one pass for width 256 is 2 % faster there on Zen 4, others are as fast as in
/// 192.
template <class Scalar, class Arch>
inline constexpr Index inner_block = sizeof(simd::Pack<Scalar, Arch>) == 64 ? 256 : 192;
/// Rows per pass: the left factor's block stays in the second-level cache while all slices go by.
template <class Scalar>
inline constexpr Index row_block = 384 / static_cast<Index>(sizeof(Scalar));
/// Fewer rows, or fewer panels, are not worth a copy of the left factor.
inline constexpr Index packed_rows = 13, packed_panels = 5;

/// Length of equal blocks of [0, total), at most `most`, in multiples of `unit`.
inline Index block_length(Index total, Index most, Index unit) {
  const Index count = std::max<Index>(1, (total + most - 1) / most);
  return std::max(unit, (total + count * unit - 1) / (count * unit) * unit);
}

/// A copy of a left factor, row after row without gaps: rows of a transposed or power-of-two distant layout share few
/// cache sets. The block of the next columns, which will be packed next, is fetched meanwhile. One stride must be 1.
template <class Scalar>
Left<Scalar> packed(const Left<Scalar>& a, Scalar* to) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(Scalar));
  const Scalar* next = a.data + a.columns * a.column_stride;
  if (a.row_stride == 1) {
    transpose(MatrixView<const Scalar>(a.data, a.columns, a.rows, a.column_stride), {to, a.rows, a.columns});
    for (Index k = 0; k < a.columns; ++k)
      for (Index r = 0; r < a.rows; r += line) simd::prefetch(next + k * a.column_stride + r);
  } else {
    copy(MatrixView<const Scalar>(a.data, a.rows, a.columns, a.row_stride), {to, a.rows, a.columns});
    for (Index r = 0; r < a.rows; ++r)
      for (Index k = 0; k < a.columns; k += line) simd::prefetch(next + r * a.row_stride + k);
  }
  return {to, a.rows, a.columns, a.columns, 1};
}

/// An output by panels of columns: a plain view's panels lie side by side, those of a PanelView one after another.
template <class Scalar>
struct Panels {
  Scalar* data;
  Index panel_stride, row_stride;

  Panels(MatrixView<Scalar> c) : Panels(c.data(), panel_width<Scalar>, c.stride()) {}
  Panels(PanelView<Scalar> c) : Panels(c.data(), c.rows() * panel_width<Scalar>, panel_width<Scalar>) {}
  Panels(Scalar* first, Index panel, Index row) : data(first), panel_stride(panel), row_stride(row) {}
  Panels rows(Index first) const { return {data + first * row_stride, panel_stride, row_stride}; }
};

/// C (+)= A · B, panels [first, last), for rows [0, R) of one row block and one pass of the inner dimension from `k`.
template <class Arch, class Scalar>
void panel_pass(const Left<Scalar>& a, PanelView<const Scalar> b, Index k, Panels<Scalar> c, Output output, Index first,
                Index last) {
  constexpr Index width = panel_width<Scalar>;
  for (Index p = first; p < last; ++p) {
    const Scalar* next = p + 1 < last ? b.panel(p + 1) + k * width : b.panel(first) + (k + a.columns) * width;
    const Slice<Scalar> slice{b.panel(p) + k * width, width, next,
                              a.columns * width * static_cast<Index>(sizeof(Scalar))};
    slice_product<Arch>(a, slice, std::min(width, b.columns() - p * width), c.data + p * c.panel_stride, c.row_stride,
                        output);
  }
}

template <class Arch, bool Pack, class Scalar>
void panel_passes(const Left<Scalar>& a, PanelView<const Scalar> b, Panels<Scalar> c, Output output, Index first,
                  Index last) {
  const Index inner = block_length(a.columns, inner_block<Scalar, Arch>, 1);
  const Index rows = block_length(a.rows, row_block<Scalar>, 12);
  Scalar buffer[Pack ? row_block<Scalar> * inner_block<Scalar, Arch> : 1];
  for (Index r = 0; r < a.rows; r += rows)
    for (Index k = 0; k == 0 || k < a.columns; k += inner) {
      const Index count = std::min(rows, a.rows - r);
      Left<Scalar> part = a.block(r, count, k, std::min(inner, a.columns - k));
      if constexpr (Pack) part = packed(part, buffer);
      panel_pass<Arch>(part, b, k, c.rows(r), k == 0 ? output : Output::accumulate, first, last);
    }
}

/// C (+)= A · B, panels [first, last): the left factor is copied where that pays.
template <class Arch, class Scalar>
void panel_product(const Left<Scalar>& a, PanelView<const Scalar> b, Panels<Scalar> c, Output output, Index first,
                   Index last) {
  if (last - first >= packed_panels && a.has_unit_stride())
    panel_passes<Arch, true>(a, b, c, output, first, last);
  else
    panel_passes<Arch, false>(a, b, c, output, first, last);
}

/// One row: bound by latency as well as by reading B, unless two panels go at once. The first and the second half of
/// the panels, not neighbours: memory is then read as two streams that never leap (3 % faster from memory).
template <class Arch, class Scalar>
void two_panels_product(const Left<Scalar>& a, PanelView<const Scalar> b, Scalar* c, Output output, Index first,
                        Index half) {
  using P = simd::Pack<Scalar, Arch>;
  constexpr Index width = panel_width<Scalar>;
  constexpr int packs = wide_packs<Scalar, Arch>;
  using Halves = InRuns<packs * P::size>;
  for (Index p = first; p < first + half; ++p)
    for (Index n = 0; n < width; n += packs * P::size)
      register_tile<P, 1, 2 * packs>(
          a, TileColumns<const Scalar, Halves>{b.panel(p) + n, width, {half * b.rows() * width}}, FromOutput{output},
          TileColumns<Scalar, Halves>{c + p * width + n, 0, {half * width}});
}

/// Few rows: bound by reading B, whose panels go by whole, each one stream (passes, and fetching ahead, made it
/// slower).
template <class Arch, class Scalar>
void few_rows_product(const Left<Scalar>& a, PanelView<const Scalar> b, MatrixView<Scalar> c, Output output,
                      Index first, Index last) {
  constexpr Index width = panel_width<Scalar>;
  if (a.rows == 1) {
    const Index half = std::max<Index>(0, std::min(last, b.columns() / width) - first) / 2;
    two_panels_product<Arch>(a, b, c.data(), output, first, half);
    first += 2 * half;
  }
  for (Index p = first; p < last; ++p)
    slice_product<Arch>(a, Slice<Scalar>{b.panel(p), width}, std::min(width, b.columns() - p * width),
                        c.data() + p * width, c.stride(), output);
}

/// C (+)= A · B, B being copied first: for columns that do not fill packs.
template <class Arch, class Scalar>
void packed_slice_product(const Left<Scalar>& a, Slice<Scalar> b, Index columns, Scalar* c, Index c_row,
                          Output output) {
  alignas(alignment) Scalar buffer[inner_block<Scalar, Arch> * panel_width<Scalar>];
  const MatrixView<const Scalar> columns_of_b(b.data, a.columns, columns, b.row_stride);
  pack_panels(columns_of_b, {buffer, a.columns, columns});
  slice_product<Arch>(a, Slice<Scalar>{buffer, panel_width<Scalar>}, columns, c, c_row, output);
}

template <class Arch, class Scalar>
void plain_product(const Left<Scalar>& a, MatrixView<const Scalar> b, MatrixView<Scalar> c, Output output) {
  constexpr Index width = panel_width<Scalar>;
  constexpr Index narrow = wide_packs<Scalar, Arch> / 2 * simd::Pack<Scalar, Arch>::size;
  const Index inner = block_length(a.columns, inner_block<Scalar, Arch>, 1);
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
void matmul(Left<Scalar> a, PanelView<const std::type_identity_t<Scalar>> b, MatrixView<std::type_identity_t<Scalar>> c,
            Output output = Output::assign, Index first = 0, Index count = -1) {
  TTT_ASSERT(a.columns == b.rows() && a.rows == c.rows() && b.columns() == c.columns(), "shapes of a product disagree");
  const Index last = count < 0 ? b.count() : first + count;
  if (a.rows < detail::packed_rows)
    detail::few_rows_product<Arch>(a, PanelView<const Scalar>(b), c, output, first, last);
  else
    detail::panel_product<Arch, Scalar>(a, b, c, output, first, last);
}

/// The product with panels as one function, which a table of kernels can hold.
template <class Arch, class Scalar>
inline constexpr void (*panel_matmul)(Left<Scalar>, PanelView<const Scalar>, MatrixView<Scalar>, Output, Index,
                                      Index) = &matmul<Arch, Scalar>;

/// Panels C [K × N] += Aᵀ · B for A [R × K], B [R × N] in panels: the gradient of a weight in its own layout. Padding
/// stays zero. Only rows [first, first + count) of C are computed: what a thread does.
template <class Arch = simd::Native, class Scalar>
void matmul_to_panels(Left<Scalar> a_transposed, PanelView<const std::type_identity_t<Scalar>> b,
                      PanelView<std::type_identity_t<Scalar>> c, Index first = 0, Index count = -1) {
  TTT_ASSERT(a_transposed.rows == c.rows() && b.columns() == c.columns() && a_transposed.columns == b.rows(),
             "shapes of a product disagree");
  const Left<Scalar> part = a_transposed.block(first, count < 0 ? c.rows() : count, 0, a_transposed.columns);
  detail::panel_product<Arch, Scalar>(part, b, detail::Panels<Scalar>(c).rows(first), Output::accumulate, 0, c.count());
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
