// SPDX-License-Identifier: MIT
/// @file
/// The products inside attention: a few rows against keys or values that stay in the caches of the processor. Element
/// (r, n) is one chain of fused multiply-adds over k = 0, 1, …, whatever the rows and columns it is computed with.
#pragma once

#include <algorithm>

#include "ttt/kernels/matmul.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Keys lie in panels of so many positions, [D × key_panel] each: lanes are keys, for one query as for many. A multiple
/// of every pack.
inline constexpr Index key_panel = 16;

/// The first multiple of `key_panel` that is not below, and the last that is not above.
constexpr Index panel_end(Index position) { return (position + key_panel - 1) / key_panel * key_panel; }
constexpr Index panel_begin(Index position) { return position / key_panel * key_panel; }

namespace detail {

/// A right factor: element (k, n) is `data[k * row_stride + n / key_panel * panel_stride + n % key_panel]`.
template <class Scalar>
struct Right {
  const Scalar* data;
  Index row_stride, panel_stride;

  /// Columns of a matrix.
  Right(MatrixView<const Scalar> rows) : data(rows.data()), row_stride(rows.stride()), panel_stride(key_panel) {}
  Right(MatrixView<Scalar> rows) : Right(MatrixView<const Scalar>(rows)) {}
  /// Panels of `width` rows, one after another.
  Right(const Scalar* panels, Index width) : data(panels), row_stride(key_panel), panel_stride(key_panel * width) {}

  TTT_INLINE Index column(Index n) const { return n / key_panel * panel_stride + n % key_panel; }
};

/// Where the chains begin: at zero, at what the output holds, or at that times a factor per row.
struct FromZero {
  template <class P, class Scalar>
  TTT_INLINE P begin(Index, const Scalar*) const {
    return P(Scalar(0));
  }
  FromZero rows(Index) const { return {}; }
};
struct FromOutput {
  template <class P, class Scalar>
  TTT_INLINE P begin(Index, const Scalar* output) const {
    return P::load(output);
  }
  FromOutput rows(Index) const { return {}; }
};
template <class Scalar>
struct FromScaledOutput {
  const Scalar* factors;

  template <class P>
  TTT_INLINE P begin(Index row, const Scalar* output) const {
    return P::load(output) * P(factors[row]);
  }
  FromScaledOutput rows(Index first) const { return {factors + first}; }
};

/// One tile whose accumulators never leave their registers; `b` and `c` point to its first column.
template <class P, int Rows, int Packs, class Scalar, class Start>
TTT_INLINE void register_tile(const kernels::Left<Scalar>& a, const Scalar* b, const Right<Scalar>& right, Scalar* c,
                              Index c_row, Start start) {
  P sum[Rows][Packs];
  for (int r = 0; r < Rows; ++r)
    for (int p = 0; p < Packs; ++p) sum[r][p] = start.template begin<P>(r, c + r * c_row + p * P::size);
  const Scalar* left = a.data;
  for (Index k = 0; k < a.columns; ++k) {
    P row[Packs];
    for (int p = 0; p < Packs; ++p) row[p] = P::load(b + right.column(p * P::size));
    for (int r = 0; r < Rows; ++r) {
      const P factor(left[r * a.row_stride]);
      for (int p = 0; p < Packs; ++p) sum[r][p] = simd::fma(factor, row[p], sum[r][p]);
    }
    left += a.column_stride;
    b += right.row_stride;
  }
  for (int r = 0; r < Rows; ++r)
    for (int p = 0; p < Packs; ++p) sum[r][p].store(c + r * c_row + p * P::size);
}

/// Columns [first, columns) of `Rows` rows, in strips of `Packs`, then of half of them, then lane by lane.
template <class P, int Rows, int Packs, class Scalar, class Start>
void row_strips(const kernels::Left<Scalar>& a, const Right<Scalar>& b, Index first, Index columns, Scalar* c,
                Index c_row, Start start) {
  Index n = first;
  for (; n + Packs * P::size <= columns; n += Packs * P::size)
    register_tile<P, Rows, Packs>(a, b.data + b.column(n), b, c + n, c_row, start);
  if (n == columns) return;
  if constexpr (Packs > 1)
    row_strips<P, Rows, Packs / 2>(a, b, n, columns, c, c_row, start);
  else if constexpr (P::size > 1)
    row_strips<simd::Pack<Scalar, simd::Generic>, Rows, 1>(a, b, n, columns, c, c_row, start);
}

/// Rows of one register tile with two packs of columns.
template <class Arch>
inline constexpr int tile_rows = simd::registers<Arch> == 32 ? 12 : 6;

/// C [R × columns] = start + A [R × K] · B. C must not overlap A or B. Fewer rows take more columns at once, so that
/// one row keeps as many chains busy and reads B in long stretches.
template <class Arch, int Rows = tile_rows<Arch>, class Scalar, class Start>
void small_product(const kernels::Left<Scalar>& a, const Right<Scalar>& b, Index columns, Scalar* c, Index c_row,
                   Start start) {
  constexpr int packs = Rows == 1 ? 8 : Rows == 2 ? 4 : 2;
  constexpr int fewer = Rows > 4 ? 4 : Rows / 2;
  Index r = 0;
  const auto from = [&] {
    return kernels::Left<Scalar>(a.data + r * a.row_stride, a.rows - r, a.columns, a.row_stride, a.column_stride);
  };
  for (; r + Rows <= a.rows; r += Rows)
    row_strips<simd::Pack<Scalar, Arch>, Rows, packs>(from(), b, 0, columns, c + r * c_row, c_row, start.rows(r));
  if constexpr (Rows > 1)
    if (r < a.rows) small_product<Arch, fewer>(from(), b, columns, c + r * c_row, c_row, start.rows(r));
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
