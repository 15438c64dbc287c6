// SPDX-License-Identifier: MIT
/// @file
/// The SwiGLU inner model on the tokens of one chunk, whose weights are those of its beginning. With a = k W0, u = k W2
/// and y = v W1ᵀ the steps of a token, minus the gradients of −f(k) · v times its rates, are
///
///     η0 kᵀ (silu′(a) ∘ u ∘ y),   η1 (silu(a) ∘ u)ᵀ v,   η2 kᵀ (silu(a) ∘ y)
///
/// (LaCT paper, arXiv 2505.23884, section 3). They only add up, and the queries are answered without them.
#pragma once

#include <algorithm>

#include "ttt/kernels/activation.hpp"
#include "ttt/kernels/block_product.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/large_chunk/product.hpp"
#include "ttt/rules/large_chunk/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Tokens whose hidden rows are held at once, so that they stay in the second-level cache.
inline constexpr Index large_chunk_block = 128;

/// Calls body(rows, first, count) for blocks of the rows of a chunk.
template <class Rows, class Body>
void for_each_block(const Rows& rows, Body&& body) {
  for (Index first = 0; first < rows.tokens(); first += large_chunk_block) {
    const Index count = std::min(large_chunk_block, rows.tokens() - first);
    body(rows.rows(first, count), first, count);
  }
}

/// One token: both its query and its key go through W0 and W2 at once, and row f of W1 is read once for the answer, for
/// y and beside the sum it belongs to.
template <class Arch, class Scalar>
void swiglu_token(const LearnedMatrices<Scalar, 3>& matrices, const LargeChunkRows<const Scalar>& row,
                  MatrixView<Scalar> out, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const LearnedMatrix<Scalar>&gate = matrices[0], &down = matrices[1], &up = matrices[2];
  const Index width = gate.weight.rows(), hidden = gate.weight.columns();
  const auto x = scratch.matrix<Scalar>(2, width), a = scratch.matrix<Scalar>(2, hidden),
             u = scratch.matrix<Scalar>(2, hidden), h = scratch.matrix<Scalar>(2, hidden);
  kernels::copy_rows<Arch, Scalar>(row.queries, x.rows(0, 1));
  kernels::copy_rows<Arch, Scalar>(row.keys, x.rows(1, 1));
  kernels::block_product<Arch, Scalar>(x, gate.weight, a);
  kernels::block_product<Arch, Scalar>(x, up.weight, u);
  kernels::gate_rows<Arch, Scalar>(kernels::Activation::silu, a, u, h);

  const Scalar *const value = row.values.row(0), *const rates = row.rates.row(0);
  Scalar* const y = h.row(0);  // of the answer no longer needed once it has been read
  fill(out, Scalar(0));
  for (Index f = 0; f < hidden; ++f) {
    const Scalar* const weight = down.weight.row(f);
    kernels::add_scaled<Arch>(h(0, f), weight, width, out.row(0));
    y[f] = kernels::dot<Arch>(weight, value, width);
    kernels::add_scaled<Arch>(rates[1] * h(1, f), value, width, down.sum.row(f));
  }
  Scalar *const step0 = u.row(0), *const step2 = a.row(0);
  simd::for_each_pack<Scalar, Arch>(hidden, [&]<class P>(P, Index f) TTT_INLINE_LAMBDA {
    const kernels::Silu silu(P::load(a.row(1) + f));
    const P of_value = P::load(y + f);
    (P(rates[0]) * silu.derivative() * P::load(u.row(1) + f) * of_value).store(step0 + f);
    (P(rates[2]) * silu.value() * of_value).store(step2 + f);
  });
  for (Index i = 0; i < width; ++i) {
    kernels::add_scaled<Arch>(row.keys(0, i), step0, hidden, gate.sum.row(i));
    kernels::add_scaled<Arch>(row.keys(0, i), step2, hidden, up.sum.row(i));
  }
}

namespace detail {

/// From a, u and y of some rows to η0 silu′(a) ∘ u ∘ y, η2 silu(a) ∘ y and η1 silu(a) ∘ u, in their places.
template <class Arch, class Scalar>
void swiglu_steps(MatrixView<const Scalar> rates, MatrixView<Scalar> a, MatrixView<Scalar> u, MatrixView<Scalar> y) {
  for (Index t = 0; t < a.rows(); ++t)
    simd::for_each_pack<Scalar, Arch>(a.columns(), [&]<class P>(P, Index f) TTT_INLINE_LAMBDA {
      const kernels::Silu silu(P::load(a.row(t) + f));
      const P of_up = P::load(u.row(t) + f), of_value = P::load(y.row(t) + f);
      (P(rates(t, 0)) * silu.derivative() * of_up * of_value).store(a.row(t) + f);
      (P(rates(t, 2)) * silu.value() * of_value).store(u.row(t) + f);
      (P(rates(t, 1)) * silu.value() * of_up).store(y.row(t) + f);
    });
}

}  // namespace detail

/// Tokens of one chunk: out [T × D] = f(queries), unless it is empty, and the sums take their steps.
template <class Arch, class Scalar>
void swiglu_chunk(const LearnedMatrices<Scalar, 3>& matrices, const LargeChunkRows<const Scalar>& all,
                  MatrixView<Scalar> out, Arena& scratch) {
  using kernels::Output;
  const Arena::Frame frame(scratch);
  const LearnedMatrix<Scalar>&gate = matrices[0], &down = matrices[1], &up = matrices[2];
  const auto gate_panels = detail::panels_of<Scalar>(gate.weight, scratch),
             up_panels = detail::panels_of<Scalar>(up.weight, scratch),
             down_panels = detail::panels_of<Scalar>(down.weight, scratch),
             turned_down = detail::transposed_panels_of<Scalar>(down.weight, scratch);
  const auto hidden = [&](Index rows) { return scratch.matrix<Scalar>(rows, gate.weight.columns()); };
  for_each_block(all, [&](const LargeChunkRows<const Scalar>& rows, Index first, Index count) {
    const Arena::Frame of_block(scratch);
    const auto a = hidden(count), u = hidden(count), y = hidden(count);
    if (!out.empty()) {
      kernels::matmul<Arch, Scalar>(rows.queries, gate_panels, a);
      kernels::matmul<Arch, Scalar>(rows.queries, up_panels, u);
      kernels::gate_rows<Arch, Scalar>(kernels::Activation::silu, a, u, y);
      kernels::matmul<Arch, Scalar>(kernels::Left<Scalar>(y), down_panels, out.rows(first, count));
    }
    kernels::matmul<Arch, Scalar>(rows.keys, gate_panels, a);
    kernels::matmul<Arch, Scalar>(rows.keys, up_panels, u);
    kernels::matmul<Arch, Scalar>(rows.values, turned_down, y);
    detail::swiglu_steps<Arch, Scalar>(rows.rates, a, u, y);
    detail::packed_product<Arch, Scalar>(kernels::transposed(rows.keys), a, gate.sum, Output::accumulate, scratch);
    detail::packed_product<Arch, Scalar>(kernels::transposed(rows.keys), u, up.sum, Output::accumulate, scratch);
    detail::packed_product<Arch, Scalar>(kernels::transposed(y), rows.values, down.sum, Output::accumulate, scratch);
  });
}

}  // namespace rules

TTT_NAMESPACE_END
