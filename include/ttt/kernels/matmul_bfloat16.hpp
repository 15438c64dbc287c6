// SPDX-License-Identifier: MIT
/// @file
/// Products with weights in bfloat16, widened in registers: the bits of the product with the same weights in float.
#pragma once

#include <algorithm>

#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/simd/pairs.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Inner dimension per pass of a product with several rows: a slice of a panel, widened, stays in the first-level
/// cache.
inline constexpr Index widened_rows = 192;

/// Rows of one panel, or panels of one row, that go at once, so that eight chains hide the latency of the multiply-add.
template <class Arch>
inline constexpr int streamed = std::max(1, static_cast<int>(4 * simd::Pack<float, Arch>::size /
                                                             Bfloat16PanelView::words));

/// Up to so many rows take the weights straight into registers; with more of them it pays to widen a slice once.
inline constexpr Index streamed_rows = 8;

/// Rows of a panel, a cache line each, that are asked for ahead of their use.
inline constexpr Index fetched_ahead = 16;

/// Rows [r, r + Rows) of C (+)= A · B in panels [p, p + Panels): the chains stay in registers from first to last.
template <class Arch, int Rows, int Panels>
void stream(const Left<float>& a, Index r, Bfloat16PanelView b, Index p, MatrixView<float> c, Output output) {
  using P = simd::Pack<float, Arch>;
  constexpr Index words = Bfloat16PanelView::words, width = Bfloat16PanelView::width;
  constexpr int packs = static_cast<int>(words / P::size);
  const Index columns = std::min(Panels * width, b.columns() - p * width), panel = b.rows() * words;
  float sums[Rows][Panels * width] = {};  // of whole panels, so that the last one needs no code of its own
  if (output == Output::accumulate)
    for (int i = 0; i < Rows; ++i) std::copy_n(c.row(r + i) + p * width, columns, sums[i]);
  P lower[Rows][Panels][packs], upper[Rows][Panels][packs];
  const auto each = [&](auto&& body) TTT_INLINE_LAMBDA {
    for (int i = 0; i < Rows; ++i)
      for (int q = 0; q < Panels; ++q)
        for (int n = 0; n < packs; ++n) {
          float* place = sums[i] + q * width + n * P::size;
          body(lower[i][q][n], place);
          body(upper[i][q][n], place + words);
        }
  };
  each([](P& sum, float* place) TTT_INLINE_LAMBDA { sum = P::load(place); });
  for (Index k = 0; k < a.columns; ++k) {
    P left[Rows];
    for (int i = 0; i < Rows; ++i) left[i] = P(a.data[(r + i) * a.row_stride + k * a.column_stride]);
    for (int q = 0; q < Panels; ++q) {
      const float* row = b.panel(p) + q * panel + k * words;
      simd::prefetch(row + fetched_ahead * words);
      for (int n = 0; n < packs; ++n) {
        const P pairs = P::load(row + n * P::size);
        const P right = simd::widen_lower(pairs), other = simd::widen_upper(pairs);
        for (int i = 0; i < Rows; ++i) {
          lower[i][q][n] = simd::fma(left[i], right, lower[i][q][n]);
          upper[i][q][n] = simd::fma(left[i], other, upper[i][q][n]);
        }
      }
    }
  }
  each([](P& sum, float* place) TTT_INLINE_LAMBDA { sum.store(place); });
  for (int i = 0; i < Rows; ++i) std::copy_n(sums[i], columns, c.row(r + i) + p * width);
}

/// Few rows: bound by reading B, each panel of which is read from memory once.
template <class Arch>
void stream_rows(const Left<float>& a, Bfloat16PanelView b, MatrixView<float> c, Output output, Index first,
                 Index last) {
  constexpr int together = streamed<Arch>;
  for (Index p = first; p < last; p += together) {
    const Index end = std::min(last, p + together);
    Index r = 0;
    for (; r + together <= a.rows; r += together)
      for (Index q = p; q < end; ++q) stream<Arch, together, 1>(a, r, b, q, c, output);
    for (; r < a.rows; ++r)
      if (end - p == together)
        stream<Arch, 1, together>(a, r, b, p, c, output);
      else
        for (Index q = p; q < end; ++q) stream<Arch, 1, 1>(a, r, b, q, c, output);
  }
}

/// Widens `rows` rows of a panel: `to` [rows × width].
template <class Arch>
void widen_panel(const float* from, Index rows, float* to) {
  using P = simd::Pack<float, Arch>;
  constexpr Index words = Bfloat16PanelView::words;
  for (Index k = 0; k < rows; ++k)
    for (Index i = 0; i < words; i += P::size) {
      const P pairs = P::load(from + k * words + i);
      simd::widen_lower(pairs).store(to + 2 * k * words + i);
      simd::widen_upper(pairs).store(to + (2 * k + 1) * words + i);
    }
}

}  // namespace detail

/// C [R × N] = (or +=) A [R × K] · B [K × N] for B in bfloat16 panels. C must not overlap A.
///
/// Each element is the chain of the product with panels of floats, over the widened elements. Only panels
/// [first, first + count) are computed: what a thread does of a product with few rows.
template <class Arch = simd::Native>
void matmul(Left<float> a, Bfloat16PanelView b, MatrixView<float> c, Output output = Output::assign, Index first = 0,
            Index count = -1) {
  TTT_ASSERT(a.columns == b.rows() && a.rows == c.rows() && b.columns() == c.columns(), "shapes of a product disagree");
  constexpr Index width = Bfloat16PanelView::width, words = Bfloat16PanelView::words;
  const Index last = count < 0 ? b.count() : first + count;
  if (a.rows <= detail::streamed_rows) return detail::stream_rows<Arch>(a, b, c, output, first, last);
  alignas(alignment) float widened[detail::widened_rows * width];
  for (Index p = first; p < last; ++p)
    for (Index k = 0; k == 0 || k < a.columns; k += detail::widened_rows) {
      const Index inner = std::min(detail::widened_rows, a.columns - k);
      const Index columns = std::min(width, b.columns() - p * width);
      detail::widen_panel<Arch>(b.panel(p) + k * words, inner, widened);
      matmul<Arch>(a.block(0, a.rows, k, inner), PanelView<const float>(widened, inner, columns),
                   c.columns(p * width, columns), k == 0 ? output : Output::accumulate);
    }
}

/// The same as one function, which a table of kernels can hold.
template <class Arch>
inline constexpr void (*bfloat16_matmul)(Left<float>, Bfloat16PanelView, MatrixView<float>, Output, Index,
                                         Index) = &matmul<Arch>;

/// Widens panels `from` [K × N] into panels of floats `to` [K × N].
template <class Arch = simd::Native>
void widen_panels(Bfloat16PanelView from, PanelView<float> to, Index first = 0, Index count = -1) {
  TTT_ASSERT(from.rows() == to.rows() && from.columns() == to.columns(), "widening keeps the shape");
  const Index last = count < 0 ? from.count() : first + count;
  for (Index p = first; p < last; ++p) detail::widen_panel<Arch>(from.panel(p), from.rows(), to.panel(p));
}

}  // namespace kernels

TTT_NAMESPACE_END
