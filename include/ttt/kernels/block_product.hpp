// SPDX-License-Identifier: MIT
/// @file
/// Products of small matrices that lie in the first- and second-level cache: the mini-batches of the TTT rules. As in
/// `matmul`, element (r, n) is one chain of fused multiply-adds over k = 0, 1, …, whatever the other rows and columns.
///
/// What differs from `matmul` is the shape: about sixteen rows, so that they are shared out evenly among tiles, and few
/// columns, so that nothing is packed. A product with Wᵀ transposes its small factors, never W: (a Wᵀ)ᵀ = W aᵀ.
#pragma once

#include "ttt/kernels/matmul.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Where the chains of a product start: row r at `data + r * stride`, or at zero when `data` is null.
template <class Scalar>
struct ChainStart {
  const Scalar* data;
  Index stride;

  ChainStart rows(Index r) const { return {data ? data + r * stride : nullptr, stride}; }
  ChainStart columns(Index n) const { return {data ? data + n : nullptr, stride}; }
  template <class P>
  TTT_INLINE P begin(Index r, Index n, const Scalar*) const {
    return data ? P::load(data + r * stride + n) : P(Scalar(0));
  }
};

/// What rows [r, r + rows) of a product sum over: k in [begin, end), all of them or, of `tile`, some.
template <class Tile>
struct TileInner {
  Index begin, end;
  Tile tile;  ///< counts k from `begin`
};
/// Every row sums over all k.
struct AllInner {
  TileInner<WholeInner> of_rows(Index, Index, Index inner) const { return {0, inner, {}}; }
};
/// Row r sums over k ≤ first + r.
struct CausalInner {
  Index first;

  auto of_rows(Index r, Index rows, Index inner) const {
    const auto rows_of = [diagonal = first + r, rows](Index k) { return RowRange{k - diagonal, rows}; };
    return TileInner<BandedInner<decltype(rows_of)>>{
        0, std::min(inner, first + r + rows), {0, std::min(inner, first + r + 1), rows_of}};
  }
};
/// Row r sums over k ≥ r − first.
struct AnticausalInner {
  Index first;

  auto of_rows(Index r, Index rows, Index inner) const {
    const Index begin = std::clamp<Index>(r - first, 0, inner);
    const auto rows_of = [after = begin + first - r + 1](Index k) { return RowRange{0, k + after}; };
    const Index all = std::clamp<Index>(r + rows - 1 - first, begin, inner) - begin;
    return TileInner<BandedInner<decltype(rows_of)>>{begin, inner, {all, inner - begin, rows_of}};
  }
};

/// C = start + A · B for the rows of a tile and all columns: the fewer rows, the wider the tiles, so that eight or more
/// chains are open.
template <class Arch, int Rows, class Scalar, class Inner>
TTT_INLINE void block_rows(const Left<Scalar>& a, MatrixView<const Scalar> b, ChainStart<Scalar> start, Scalar* c,
                           Index c_row, const Inner& inner) {
  using Wide = simd::Pack<Scalar, Arch>;
  constexpr int widest = Rows == 1 ? 8 : Rows <= 3 ? 4 : 2;
  Index n = 0;
  const auto tiles = [&]<class P, int Packs>() TTT_INLINE_LAMBDA {
    for (; n + Packs * P::size <= b.columns(); n += Packs * P::size)
      register_tile<P, Rows, Packs>(a, TileColumns<const Scalar>{b.data() + n, b.stride()}, start.columns(n),
                                    TileColumns<Scalar>{c + n, c_row}, inner);
  };
  if constexpr (Wide::size > 1) {
    tiles.template operator()<Wide, widest>();
    if constexpr (widest > 2) tiles.template operator()<Wide, 2>();
    tiles.template operator()<Wide, 1>();
  }
  tiles.template operator()<simd::Pack<Scalar, simd::Generic>, 1>();
}

/// The same with as many rows as `a`, at most `Rows`.
template <class Arch, int Rows, class Scalar, class Inner>
TTT_INLINE void block_rows_of(const Left<Scalar>& a, MatrixView<const Scalar> b, ChainStart<Scalar> start, Scalar* c,
                              Index c_row, const Inner& inner) {
  if (a.rows == Rows)
    block_rows<Arch, Rows>(a, b, start, c, c_row, inner);
  else if constexpr (Rows > 1)
    block_rows_of<Arch, Rows - 1>(a, b, start, c, c_row, inner);
}

/// C = start + A · B in tiles of nearly equal height, each along all columns: rows far apart in memory, a power of two
/// often, are walked side by side and not down.
template <class Arch, class Scalar, class Inner>
void block_product(const Left<Scalar>& a, MatrixView<const Scalar> b, Inner inner, ChainStart<Scalar> start,
                   MatrixView<Scalar> c) {
  TTT_ASSERT(a.columns == b.rows() && a.rows == c.rows() && b.columns() == c.columns(), "shapes of a product disagree");
  constexpr int most = 6;
  Index r = 0;
  for (Index tiles = (a.rows + most - 1) / most; tiles > 0; --tiles) {
    const Index rows = (a.rows - r + tiles - 1) / tiles;
    const auto of_rows = inner.of_rows(r, rows, a.columns);
    const Index count = of_rows.end - of_rows.begin;
    block_rows_of<Arch, most>(a.block(r, rows, of_rows.begin, count), b.rows(of_rows.begin, count), start.rows(r),
                              c.row(r), c.stride(), of_rows.tile);
    r += rows;
  }
}

}  // namespace detail

/// C [R × N] = (or +=) A [R × K] · B [K × N]. C must not overlap A or B.
template <class Arch = simd::Native, class Scalar>
void block_product(Left<Scalar> a, MatrixView<const std::type_identity_t<Scalar>> b,
                   MatrixView<std::type_identity_t<Scalar>> c, Output output = Output::assign) {
  const Scalar* start = output == Output::assign ? nullptr : c.data();
  detail::block_product<Arch, Scalar>(a, b, detail::AllInner(), {start, c.stride()}, c);
}

/// C [R × N] = row [N] in every row + A [R × K] · B [K × N]. C must not overlap the others.
template <class Arch = simd::Native, class Scalar>
void block_product_from_row(const std::type_identity_t<Scalar>* row, Left<Scalar> a,
                            MatrixView<const std::type_identity_t<Scalar>> b,
                            MatrixView<std::type_identity_t<Scalar>> c) {
  detail::block_product<Arch, Scalar>(a, b, detail::AllInner(), {row, 0}, c);
}

/// C [R × N] = start [R × N] + A [R × K] · B [K × N]; start may be C, C must not overlap A or B.
template <class Arch = simd::Native, class Scalar>
void block_product_from(MatrixView<const std::type_identity_t<Scalar>> start, Left<Scalar> a,
                        MatrixView<const std::type_identity_t<Scalar>> b, MatrixView<std::type_identity_t<Scalar>> c) {
  detail::block_product<Arch, Scalar>(a, b, detail::AllInner(), {start.data(), start.stride()}, c);
}

/// C [R × N] += A [R × K] · B [K × N] with the columns of A up to first + r in row r. Those behind are not read, and
/// the rows of B that belong to them do not get into row r whatever they hold.
template <class Arch = simd::Native, class Scalar>
void block_product_causal(MatrixView<const Scalar> a, Index first, MatrixView<const Scalar> b, MatrixView<Scalar> c) {
  detail::block_product<Arch, Scalar>(Left<Scalar>(a), b, detail::CausalInner{first}, {c.data(), c.stride()}, c);
}

/// C [K × N] += Aᵀ · B [R × N] for the same part of A [R × K]: row k of C gets the rows of B from k − first on.
template <class Arch = simd::Native, class Scalar>
void block_product_causal_transposed(MatrixView<const Scalar> a, Index first, MatrixView<const Scalar> b,
                                     MatrixView<Scalar> c) {
  detail::block_product<Arch, Scalar>(transposed(a), b, detail::AnticausalInner{first}, {c.data(), c.stride()}, c);
}

/// C [R × N] = A [R × K] · Bᵀ, B [N × K]. C must not overlap A or B.
///
/// With many rows the lanes of a pack are rows: Cᵀ = B · Aᵀ; with few they would be idle, and B is transposed.
template <class Arch = simd::Native, class Scalar>
void block_product_transposed(MatrixView<const Scalar> a, MatrixView<const Scalar> b, MatrixView<Scalar> c,
                              Arena& scratch) {
  const Arena::Frame frame(scratch);
  constexpr Index lanes = simd::Pack<Scalar, Arch>::size;
  if (a.rows() < (lanes + 1) / 2 || b.rows() <= a.rows()) {
    constexpr Index strip = 64;  // of the columns of Bᵀ, which stays in the first-level cache between the two
    Scalar* const memory = scratch.allocate<Scalar>(b.columns() * strip);
    for (Index n = 0; n < b.rows(); n += strip) {
      const Index width = std::min(strip, b.rows() - n);
      const MatrixView<Scalar> right(memory, b.columns(), width);
      transpose(b.rows(n, width), right);
      block_product<Arch>(Left<Scalar>(a), right, c.columns(n, width));
    }
    return;
  }
  const Index padded = (a.rows() + lanes - 1) / lanes * lanes;
  const auto right = scratch.matrix<Scalar>(a.columns(), padded), product = scratch.matrix<Scalar>(b.rows(), padded);
  if (padded != a.rows()) fill(right.columns(a.rows(), padded - a.rows()), Scalar(0));
  transpose(a, right.columns(0, a.rows()));
  block_product<Arch>(Left<Scalar>(b), right, product);
  transpose(MatrixView<const Scalar>(product.columns(0, a.rows())), c);
}

}  // namespace kernels

TTT_NAMESPACE_END
