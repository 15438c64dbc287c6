// SPDX-License-Identifier: MIT
/// @file
/// Products of two factors that are rounded to bfloat16, with sums in float, two multiply-adds at once.
///
/// Either factor becomes a matrix of **pairs**, one in the memory of a float: of each 32 elements along the inner
/// dimension, word j holds element j in its lower half and element j + 16 in its upper one, zero where the matrix has
/// ended. Multiplied are these matrices like any other, in the same panels and tiles, on packs whose multiply-add is
/// that of pairs (`simd::Pairs`). So element (r, n) is one chain again, over k = 16, 0, 17, 1, … of each 32, whatever
/// the number of rows, the tile, the thread or the other rows; and it has the same bits with every instruction set,
/// but for denormals, which AVX512-BF16 takes for zero.
#pragma once

#include <algorithm>

#include "ttt/core/large_products.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/simd.hpp"
#include "ttt/kernels/simd/pairs.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// How far apart the elements of a pair are, and how many elements are paired among themselves.
inline constexpr Index pair_distance = 16, pair_run = 2 * pair_distance;

/// `to` = pairs of `lower` and `upper`, which may be null and is zero then.
template <class Arch>
void pair_values(const float* lower, const float* upper, Index count, float* to) {
  simd::for_each_pack<float, Arch>(count, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    simd::narrow_pairs(P::load(lower + i), upper ? P::load(upper + i) : P(0.0F)).store(to + i);
  });
}

}  // namespace detail

/// Pairs that `inner` elements make.
inline Index pair_count(Index inner) {
  return inner / detail::pair_run * detail::pair_distance + std::min(detail::pair_distance, inner % detail::pair_run);
}

/// The pairs [R × pair_count(K)] of a view [R × K] whose columns are the inner dimension.
template <class Arch = simd::Native>
void pair_columns(MatrixView<const float> from, MatrixView<float> to) {
  TTT_ASSERT(from.rows() == to.rows() && pair_count(from.columns()) == to.columns(), "pairs halve the columns");
  constexpr Index distance = detail::pair_distance;
  for (Index r = 0; r < from.rows(); ++r) {
    Index k = 0;
    float* pairs = to.row(r);
    for (; k + 2 * distance <= from.columns(); k += 2 * distance, pairs += distance)
      detail::pair_values<Arch>(from.row(r) + k, from.row(r) + k + distance, distance, pairs);
    const float* const lower = from.row(r) + k;
    const Index left = from.columns() - k, both = std::max<Index>(0, left - distance);
    detail::pair_values<Arch>(lower, lower + distance, both, pairs);
    detail::pair_values<Arch>(lower + both, nullptr, std::min(left, distance) - both, pairs + both);
  }
}

/// The pairs [pair_count(K) × N] of a view [K × N] whose rows are the inner dimension.
template <class Arch = simd::Native>
void pair_rows(MatrixView<const float> from, MatrixView<float> to) {
  TTT_ASSERT(pair_count(from.rows()) == to.rows() && from.columns() == to.columns(), "pairs halve the rows");
  for (Index j = 0; j < to.rows(); ++j) {
    const Index lower = 2 * j - j % detail::pair_distance, upper = lower + detail::pair_distance;
    detail::pair_values<Arch>(from.row(lower), upper < from.rows() ? from.row(upper) : nullptr, from.columns(),
                              to.row(j));
  }
}

/// Packs the pairs of a right factor B [K × N] into panels `to` [pair_count(K) × N], padding with zeros. Only panels
/// [first, first + count) are written.
template <class Arch = simd::Native>
void pair_panels(Factor<float> b, PanelView<float> to, Index first = 0, Index count = -1) {
  TTT_ASSERT(pair_count(b.rows()) == to.rows() && b.columns() == to.columns(), "panels of pairs have half the rows");
  constexpr Index width = PanelView<float>::width, words = 4 * detail::pair_distance;
  const Index last = count < 0 ? to.count() : first + count;
  for (Index p = first; p < last; ++p) {
    const Index columns = std::min(width, to.columns() - p * width);
    const MatrixView<float> panel(to.panel(p), to.rows(), width);
    fill(panel.columns(columns, width - columns), 0.0F);
    if (!b.transposed) {
      pair_rows<Arch>(b.matrix.columns(p * width, columns), panel.columns(0, columns));
      continue;
    }
    alignas(alignment) float buffer[width * words];
    const MatrixView<const float> rows = b.matrix.rows(p * width, columns);
    for (Index j = 0; j < to.rows(); j += words) {
      const MatrixView<float> pairs(buffer, columns, std::min(words, to.rows() - j));
      pair_columns<Arch>(rows.columns(2 * j, std::min(2 * words, b.rows() - 2 * j)), pairs);
      transpose(MatrixView<const float>(pairs), panel.rows(j, pairs.columns()).columns(0, columns));
    }
  }
}

/// C [R × N] = (or +=) A [R × K] · B [K × N], both rounded to bfloat16, for the panels of B's pairs. `words` is room
/// for R · pair_count(K) pairs of A. C must not overlap A.
template <class Arch = simd::Native>
void matmul_pairs(Factor<float> a, float* words, PanelView<const float> b, MatrixView<float> c,
                  Output output = Output::assign) {
  const Index inner = pair_count(a.columns());
  if (a.transposed) {
    const MatrixView<float> pairs(words, inner, a.rows());
    pair_rows<Arch>(a.matrix, pairs);
    matmul<simd::Pairs<Arch>>(transposed(pairs), b, c, output);
  } else {
    const MatrixView<float> pairs(words, a.rows(), inner);
    pair_columns<Arch>(a.matrix, pairs);
    matmul<simd::Pairs<Arch>>(Left<float>(pairs), b, c, output);
  }
}

}  // namespace kernels

namespace reference {

/// C [R × N] (+)= A · B in bfloat16, as three loops, in the order of the pairs.
inline void matmul_pairs(Factor<float> a, Factor<float> b, MatrixView<float> c,
                         kernels::Output output = kernels::Output::assign) {
  const auto element = [](const Factor<float>& factor, Index r, Index k) {
    return rounded_to_bfloat16(factor.transposed ? factor.matrix(k, r) : factor.matrix(r, k));
  };
  constexpr Index distance = kernels::detail::pair_distance, run = kernels::detail::pair_run;
  for (Index r = 0; r < c.rows(); ++r)
    for (Index n = 0; n < c.columns(); ++n) {
      float sum = output == kernels::Output::assign ? 0.0F : c(r, n);
      for (Index begin = 0; begin < a.columns(); begin += run)
        for (Index lower = begin; lower < std::min(begin + distance, a.columns()); ++lower)
          for (const Index k : {lower + distance, lower})
            if (k < a.columns()) sum += element(a, r, k) * element(b, k, n);
      c(r, n) = sum;
    }
}

}  // namespace reference

TTT_NAMESPACE_END
