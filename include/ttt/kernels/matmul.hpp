// SPDX-License-Identifier: MIT
/// @file
/// The library's own matrix product. Element (r, n) of a product is one chain of fused multiply-adds over k = 0, 1, …,
/// started at zero or at what the output holds, whatever the number of rows, the tile, the thread or the other rows:
/// the same row gives the same bits alone and among a thousand (contract 4).
#pragma once

#include <algorithm>

#include "ttt/core/storage.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/kernels/simd.hpp"

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
};

/// The transpose of a view as a left factor.
template <class Scalar>
auto transposed(MatrixView<Scalar> view) {
  using Plain = std::remove_const_t<Scalar>;
  return Left<Plain>(view.data(), view.columns(), view.rows(), 1, view.stride());
}

namespace detail {

/// Inner dimension per pass: a panel's share stays in the first-level cache. Passes continue the chain from the output.
inline constexpr Index matmul_block = 384;

/// C [Rows × Packs·size] (+)= A · B: the accumulators never leave their registers.
template <class P, int Rows, int Packs, class Scalar>
TTT_INLINE void tile(const Scalar* a, Index a_row, Index a_column, const Scalar* b, Index b_row, Index inner, Scalar* c,
                     Index c_row, Output output) {
  P sum[Rows][Packs];
  for (int r = 0; r < Rows; ++r)
    for (int p = 0; p < Packs; ++p)
      sum[r][p] = output == Output::assign ? P(Scalar(0)) : P::load(c + r * c_row + p * P::size);
  for (Index k = 0; k < inner; ++k) {
    P right[Packs];
    for (int p = 0; p < Packs; ++p) right[p] = P::load(b + k * b_row + p * P::size);
    for (int r = 0; r < Rows; ++r) {
      const P left(a[r * a_row + k * a_column]);
      for (int p = 0; p < Packs; ++p) sum[r][p] = simd::fma(left, right[p], sum[r][p]);
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int p = 0; p < Packs; ++p) sum[r][p].store(c + r * c_row + p * P::size);
}

/// All rows of one column strip, in tiles of `Rows`, then halves of it.
template <class P, int Rows, int Packs, class Scalar>
void strip(const Left<Scalar>& a, const Scalar* b, Index b_row, Scalar* c, Index c_row, Output output, Index first = 0) {
  Index r = first;
  for (; r + Rows <= a.rows; r += Rows)
    tile<P, Rows, Packs>(a.data + r * a.row_stride, a.row_stride, a.column_stride, b, b_row, a.columns, c + r * c_row,
                         c_row, output);
  if constexpr (Rows > 1)
    if (r < a.rows) strip<P, Rows / 2, Packs>(a, b, b_row, c, c_row, output, r);
}

/// C (+)= A · B for B [K × columns] with `b_row` scalars between its rows: strips of two packs, one pack, single lanes.
template <class Scalar, class Arch>
void product(const Left<Scalar>& a, const Scalar* b, Index b_row, Index columns, Scalar* c, Index c_row,
             Output output) {
  using Wide = simd::Pack<Scalar, Arch>;
  using Lane = simd::Pack<Scalar, simd::Generic>;
  constexpr int rows = simd::registers<Arch> == 32 ? 12 : 6;
  Index n = 0;
  if constexpr (Wide::size > 1) {
    for (; n + 2 * Wide::size <= columns; n += 2 * Wide::size) strip<Wide, rows, 2>(a, b + n, b_row, c + n, c_row, output);
    for (; n + Wide::size <= columns; n += Wide::size) strip<Wide, rows, 1>(a, b + n, b_row, c + n, c_row, output);
  }
  for (; n < columns; ++n) strip<Lane, 4, 1>(a, b + n, b_row, c + n, c_row, output);
}

}  // namespace detail

/// C [R × N] = (or +=) A [R × K] · B [K × N], all plain views. C must not overlap A or B. K = 0 assigns zeros.
template <class Arch = simd::Native, class Scalar>
void matmul(Left<Scalar> a, MatrixView<const std::type_identity_t<Scalar>> b,
            MatrixView<std::type_identity_t<Scalar>> c, Output output = Output::assign) {
  TTT_ASSERT(a.columns == b.rows() && a.rows == c.rows() && b.columns() == c.columns(), "shapes of a product disagree");
  for (Index k = 0; k == 0 || k < a.columns; k += detail::matmul_block) {
    const Index inner = std::min(detail::matmul_block, a.columns - k);
    const Left<Scalar> part(a.data + k * a.column_stride, a.rows, inner, a.row_stride, a.column_stride);
    detail::product<Scalar, Arch>(part, b.row(k), b.stride(), b.columns(), c.data(), c.stride(),
                                  k == 0 ? output : Output::accumulate);
  }
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
  constexpr Index width = panel_width<Scalar>;
  const Index last = count < 0 ? b.count() : first + count;
  for (Index p = first; p < last; ++p)
    for (Index k = 0; k == 0 || k < a.columns; k += detail::matmul_block) {
      const Index inner = std::min(detail::matmul_block, a.columns - k);
      const Left<Scalar> part(a.data + k * a.column_stride, a.rows, inner, a.row_stride, a.column_stride);
      detail::product<Scalar, Arch>(part, b.panel(p) + k * width, width, std::min(width, b.columns() - p * width),
                                    c.data() + p * width, c.stride(), k == 0 ? output : Output::accumulate);
    }
}

/// Panels C [K × N] += Aᵀ · B for A [R × K], B [R × N]: the gradient of a weight in its own layout. Padding stays zero.
template <class Arch = simd::Native, class Scalar>
void matmul_to_panels(Left<Scalar> a_transposed, MatrixView<const std::type_identity_t<Scalar>> b,
                      PanelView<std::type_identity_t<Scalar>> c, Index first = 0, Index count = -1) {
  TTT_ASSERT(a_transposed.rows == c.rows() && b.columns() == c.columns() && a_transposed.columns == b.rows(),
             "shapes of a product disagree");
  constexpr Index width = panel_width<Scalar>;
  const Index last = count < 0 ? c.count() : first + count;
  for (Index p = first; p < last; ++p)
    for (Index k = 0; k < a_transposed.columns; k += detail::matmul_block) {
      const Index inner = std::min(detail::matmul_block, a_transposed.columns - k);
      const Left<Scalar> part(a_transposed.data + k * a_transposed.column_stride, a_transposed.rows, inner,
                              a_transposed.row_stride, a_transposed.column_stride);
      detail::product<Scalar, Arch>(part, b.row(k) + p * width, b.stride(), std::min(width, c.columns() - p * width),
                                    c.panel(p), width, Output::accumulate);
    }
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
