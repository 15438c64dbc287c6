// SPDX-License-Identifier: MIT
/// @file
/// The inside of a product: tiles of the output that stay in registers while the inner dimension runs.
#pragma once

#include <algorithm>
#include <type_traits>

#include "ttt/core/tensor.hpp"
#include "ttt/kernels/simd/pairs.hpp"  // tiles of pairs use its multiply-add

TTT_NAMESPACE_BEGIN

namespace kernels {

/// Whether a product overwrites its output or adds to it.
enum class Output { assign, accumulate };

/// A left factor [R × K] read by strides, so that a transpose costs nothing: element (r, k) is
/// `data[r * row_stride + k * column_stride]`.
template <class Scalar>
struct Left {
  const Scalar* data;
  Index rows, columns, row_stride, column_stride;

  Left(MatrixView<const Scalar> view)
      : data(view.data()), rows(view.rows()), columns(view.columns()), row_stride(view.stride()), column_stride(1) {}
  Left(MatrixView<Scalar> view) : Left(MatrixView<const Scalar>(view)) {}
  Left(const Scalar* first, Index r, Index k, Index r_stride, Index k_stride)
      : data(first), rows(r), columns(k), row_stride(r_stride), column_stride(k_stride) {}

  /// Rows [r, r + row_count) of columns [k, k + column_count).
  Left block(Index r, Index row_count, Index k, Index column_count) const {
    return {data + r * row_stride + k * column_stride, row_count, column_count, row_stride, column_stride};
  }
  bool has_unit_stride() const { return row_stride == 1 || column_stride == 1; }
};

/// The transpose of a view as a left factor.
template <class Scalar>
auto transposed(MatrixView<Scalar> view) {
  using Plain = std::remove_const_t<Scalar>;
  return Left<Plain>(view.data(), view.columns(), view.rows(), 1, view.stride());
}

/// Columns side by side.
struct SideBySide {
  TTT_INLINE Index operator()(Index n) const { return n; }
};
/// Columns in runs of `Run`, which begin `distance` scalars apart.
template <Index Run>
struct InRuns {
  Index distance;
  TTT_INLINE Index operator()(Index n) const { return n / Run * distance + n % Run; }
};

/// The columns of a tile in a factor or an output: (row, n) is at `data[row * row_stride + column(n)]`.
template <class Scalar, class Column = SideBySide>
struct TileColumns {
  Scalar* data;
  Index row_stride;
  Column column = {};
};

/// Where the chains of a tile begin: `begin` gives a pack of row r from column n on, whose place in the output is
/// given, `rows` the start of the rows from another on.
struct FromZero {
  template <class P, class Scalar>
  TTT_INLINE P begin(Index, Index, const Scalar*) const {
    return P(Scalar(0));
  }
  FromZero rows(Index) const { return *this; }
};
struct FromOutput {
  Output output = Output::accumulate;  ///< at zero if it is to be assigned

  template <class P, class Scalar>
  TTT_INLINE P begin(Index, Index, const Scalar* place) const {
    return output == Output::assign ? P(Scalar(0)) : P::load(place);
  }
  FromOutput rows(Index) const { return *this; }
};

/// Which k a row of a product sums over: all of them.
struct WholeInner {};
/// Rows [first, end) of a product, which may lie outside of it.
struct RowRange {
  Index first, end;
};
/// All rows sum over k in [begin, end), and over each other k only the rows `rows_of(k)`. What a row leaves out does
/// not enter its sum as zero either: zero times NaN would.
template <class RowsOf>
struct BandedInner {
  Index begin, end;
  RowsOf rows_of;
};

/// C [Rows × Packs·size] = start + A · B for B and C given as TileColumns: the accumulators never leave their
/// registers.
template <class P, int Rows, int Packs, class Scalar, class Right, class Start, class Target, class Inner = WholeInner>
TTT_INLINE void register_tile(const Left<Scalar>& a, Right b, const Start& start, Target c, const Inner& inner = {}) {
  constexpr bool banded = !std::is_same_v<Inner, WholeInner>;
  P sum[Rows * Packs];
  TTT_UNROLL for (int r = 0; r < Rows; ++r) TTT_UNROLL for (int p = 0; p < Packs; ++p) sum[r * Packs + p] =
      start.template begin<P>(r, p * P::size, c.data + r * c.row_stride + c.column(p * P::size));
  const Scalar* left = a.data;
  const auto load = [&](int p) TTT_INLINE_LAMBDA { return P::load(b.data + b.column(p * P::size)); };
  Index k = 0, end = a.columns;
  [[maybe_unused]] const auto add_to_some = [&](Index last, const auto& band) TTT_INLINE_LAMBDA {
    for (; k < last; ++k, left += a.column_stride, b.data += b.row_stride) {
      const RowRange rows = band.rows_of(k);
      TTT_UNROLL for (int r = 0; r < Rows; ++r) {
        if (r < rows.first || r >= rows.end) continue;
        const P factor(left[r * a.row_stride]);
        TTT_UNROLL for (int p = 0; p < Packs; ++p) sum[r * Packs + p] = simd::fma(factor, load(p), sum[r * Packs + p]);
      }
    }
  };
  if constexpr (banded) add_to_some(inner.begin, inner), end = inner.end;
  for (; k < end; ++k, left += a.column_stride, b.data += b.row_stride) {
    if constexpr (Rows > Packs) {
      P right[Packs];
      TTT_UNROLL for (int p = 0; p < Packs; ++p) right[p] = simd::in_register(load(p));
      TTT_UNROLL for (int r = 0; r < Rows; ++r) {
        const P factor(left[r * a.row_stride]);
        TTT_UNROLL for (int p = 0; p < Packs; ++p) sum[r * Packs + p] = simd::fma(factor, right[p], sum[r * Packs + p]);
      }
    } else {
      P factor[Rows];
      TTT_UNROLL for (int r = 0; r < Rows; ++r) factor[r] = simd::in_register(P(left[r * a.row_stride]));
      TTT_UNROLL for (int p = 0; p < Packs; ++p) {
        const P right = Rows == 1 ? load(p) : simd::in_register(load(p));
        TTT_UNROLL for (int r = 0; r < Rows; ++r) sum[r * Packs + p] = simd::fma(factor[r], right, sum[r * Packs + p]);
      }
    }
  }
  if constexpr (banded) add_to_some(a.columns, inner);
  TTT_UNROLL for (int r = 0; r < Rows; ++r) TTT_UNROLL for (int p = 0; p < Packs; ++p) sum[r * Packs + p].store(
      c.data + r * c.row_stride + c.column(p * P::size));
}

namespace detail {

/// Columns [n, n + panel_width) of a right factor, in memory that holds whole packs: row k is at `data + k *
/// row_stride`. While it is used, `ahead` bytes behind `next` are fetched: what the next product will read.
template <class Scalar>
struct Slice {
  const Scalar* data;
  Index row_stride;
  const Scalar* next = nullptr;
  Index ahead = 0;
};

/// Packs side by side in a wide tile: a panel's width, as far as the registers go. A narrow tile has half of them.
template <class Scalar, class Arch>
inline constexpr int wide_packs = static_cast<int>(std::min<Index>(4, panel_width<Scalar> /
                                                                          simd::Pack<Scalar, Arch>::size));

/// Rows of a tile of so many packs; more of them would only be another copy of the code.
template <int Packs>
inline constexpr int tile_rows = std::min(12, simd::accumulators / Packs);

inline constexpr Index cache_line = 64;

/// The tile with as many rows as `a`, at most `Rows`.
template <class P, int Rows, int Packs, class Scalar>
TTT_INLINE void tile_of_rows(const Left<Scalar>& a, Slice<Scalar> b, Scalar* c, Index c_row, Output output) {
  if (a.rows == Rows)
    register_tile<P, Rows, Packs>(a, TileColumns<const Scalar>{b.data, b.row_stride}, FromOutput{output},
                                  TileColumns<Scalar>{c, c_row});
  else if constexpr (Rows > 1)
    tile_of_rows<P, Rows - 1, Packs>(a, b, c, c_row, output);
}

/// The same where the output is narrower than the tile: through a buffer.
template <class P, int Rows, int Packs, class Scalar>
void edge_tile(const Left<Scalar>& a, Slice<Scalar> b, Index columns, Scalar* c, Index c_row, Output output) {
  constexpr Index width = Packs * P::size;
  Scalar whole[Rows * width] = {};
  const MatrixView<Scalar> buffer(whole, a.rows, columns, width), target(c, a.rows, columns, c_row);
  if (output == Output::accumulate) copy(target, buffer);
  tile_of_rows<P, Rows, Packs>(a, b, whole, width, output);
  copy(buffer, target);
}

/// Rows of the next tile when `rows` are left: whole tiles, the last two of equal height, because a low tile is no
/// faster.
template <int Most>
Index next_tile(Index rows) {
  return rows >= 2 * Most || rows == Most ? Most : rows > Most ? (rows + 1) / 2 : rows;
}

/// C [R × columns] (+)= A · B for columns that one tile covers.
template <class P, int Packs, class Scalar>
void strip(const Left<Scalar>& a, Slice<Scalar> b, Index columns, Scalar* c, Index c_row, Output output) {
  constexpr int most = tile_rows<Packs>;
  const char* next = reinterpret_cast<const char*>(b.next);
  const Index ahead = b.ahead / std::max<Index>(1, a.rows);
  for (Index r = 0, rows = 0; r < a.rows; r += rows) {
    rows = next_tile<most>(a.rows - r);
    for (const char* end = next + ahead * rows; next < end; next += cache_line) simd::prefetch(next);
    const Left<Scalar> part = a.block(r, rows, 0, a.columns);
    if (columns == Packs * P::size)
      tile_of_rows<P, most, Packs>(part, b, c + r * c_row, c_row, output);
    else
      edge_tile<P, most, Packs>(part, b, columns, c + r * c_row, c_row, output);
  }
}

/// C [R × columns] (+)= A · B for at most a panel's width of columns: wide tiles, and a narrow one for a narrow rest.
template <class Arch, class Scalar>
void slice_product(const Left<Scalar>& a, Slice<Scalar> b, Index columns, Scalar* c, Index c_row, Output output) {
  using P = simd::Pack<Scalar, Arch>;
  constexpr int packs = wide_packs<Scalar, Arch>;
  constexpr Index wide = packs * P::size;
  for (Index n = 0; n < columns; n += wide) {
    const Slice<Scalar> part{b.data + n, b.row_stride, b.next, n == 0 ? b.ahead : 0};
    const Index count = std::min(wide, columns - n);
    if (count > wide / 2)
      strip<P, packs>(a, part, count, c + n, c_row, output);
    else
      strip<P, packs / 2>(a, part, count, c + n, c_row, output);
  }
}

}  // namespace detail
}  // namespace kernels

TTT_NAMESPACE_END
