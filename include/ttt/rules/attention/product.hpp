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

/// Positions [first, end).
struct KeyRange {
  Index first = 0, end = 0;

  bool empty() const { return first >= end; }
  Index size() const { return end - first; }
  /// Counted from `origin`.
  KeyRange from(Index origin) const { return {first - origin, end - origin}; }
  KeyRange within(KeyRange other) const { return {std::max(first, other.first), std::min(end, other.end)}; }
  /// The whole panels it touches.
  KeyRange panels() const { return {panel_begin(first), panel_end(end)}; }
};

namespace detail {

using kernels::FromOutput, kernels::FromZero;

/// A right factor: columns of a matrix, or panels of `width` rows, one after another.
template <class Scalar>
struct Right {
  const Scalar* data;
  Index row_stride;
  kernels::InRuns<key_panel> column;

  Right(MatrixView<const Scalar> rows) : data(rows.data()), row_stride(rows.stride()), column{key_panel} {}
  Right(MatrixView<Scalar> rows) : Right(MatrixView<const Scalar>(rows)) {}
  Right(const Scalar* panels, Index width) : data(panels), row_stride(key_panel), column{key_panel * width} {}

  /// Columns from n on, where a pack begins.
  Right from(Index n) const {
    Right rest = *this;
    rest.data += column(n);
    return rest;
  }
  /// Rows from k on.
  Right below(Index k) const {
    Right rest = *this;
    rest.data += k * row_stride;
    return rest;
  }
};

/// Chains that begin at what the output holds times a factor per row.
template <class Scalar>
struct FromScaledOutput {
  const Scalar* factors;

  template <class P>
  TTT_INLINE P begin(Index row, Index, const Scalar* place) const {
    return P::load(place) * P(factors[row]);
  }
  FromScaledOutput rows(Index first) const { return {factors + first}; }
};

/// Columns [first, columns) of `Rows` rows, in strips of `Packs`, then of half of them, then lane by lane.
template <class P, int Rows, int Packs, class Scalar, class Start>
void row_strips(const kernels::Left<Scalar>& a, const Right<Scalar>& b, Index first, Index columns, Scalar* c,
                Index c_row, Start start) {
  Index n = first;
  for (; n + Packs * P::size <= columns; n += Packs * P::size)
    kernels::register_tile<P, Rows, Packs>(a, b.from(n), start, kernels::TileColumns<Scalar>{c + n, c_row});
  if (n == columns) return;
  if constexpr (Packs > 1)
    row_strips<P, Rows, Packs / 2>(a, b, n, columns, c, c_row, start);
  else if constexpr (P::size > 1)
    row_strips<simd::Pack<Scalar, simd::Generic>, Rows, 1>(a, b, n, columns, c, c_row, start);
}

/// Rows of one register tile with two packs of columns.
inline constexpr int tile_rows = simd::accumulators / 2;

/// C [R × columns] = start + A [R × K] · B. C must not overlap A or B. Fewer rows take more columns at once, so that
/// one row keeps as many chains busy and reads B in long stretches.
template <class Arch, int Rows = tile_rows, class Scalar, class Start>
void small_product(const kernels::Left<Scalar>& a, const Right<Scalar>& b, Index columns, Scalar* c, Index c_row,
                   Start start) {
  constexpr int packs = Rows == 1 ? 8 : Rows == 2 ? 4 : 2;
  constexpr int fewer = Rows > 4 ? 4 : Rows / 2;
  Index r = 0;
  const auto rest = [&] { return a.block(r, a.rows - r, 0, a.columns); };
  for (; r + Rows <= a.rows; r += Rows)
    row_strips<simd::Pack<Scalar, Arch>, Rows, packs>(rest(), b, 0, columns, c + r * c_row, c_row, start.rows(r));
  if constexpr (Rows > 1)
    if (r < a.rows) small_product<Arch, fewer>(rest(), b, columns, c + r * c_row, c_row, start.rows(r));
}

/// The same with row r alone over the k of `range_of(r)`. Rare, and kept out of the loops that call it.
template <class Arch, class Scalar, class Start, class RangeOf>
TTT_NOINLINE void product_of_ranges(const kernels::Left<Scalar>& a, const Right<Scalar>& b, Index columns, Scalar* c,
                                    Index c_row, Start start, const RangeOf& range_of) {
  for (Index r = 0; r < a.rows; ++r) {
    const KeyRange k = KeyRange(range_of(r)).within({0, a.columns});
    small_product<Arch, 1>(a.block(r, 1, k.first, std::max<Index>(0, k.size())), b.below(k.first), columns,
                           c + r * c_row, c_row, start.rows(r));
  }
}

/// The same where row r leaves out the k outside of `range_of(r)`: A is zero there, which is enough for a finite B, but
/// zero times NaN is not zero.
template <class Arch, class Scalar, class Start, class RangeOf>
void masked_product(const kernels::Left<Scalar>& a, const Right<Scalar>& b, bool b_is_finite, Index columns, Scalar* c,
                    Index c_row, Start start, const RangeOf& range_of) {
  if (b_is_finite)
    small_product<Arch>(a, b, columns, c, c_row, start);
  else
    product_of_ranges<Arch>(a, b, columns, c, c_row, start, range_of);
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
