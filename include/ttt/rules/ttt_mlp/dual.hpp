// SPDX-License-Identifier: MIT
/// @file
/// TTT-MLP, inner model f(x) = x + LN(gelu(x W1 + b1) W2 + b2), in its dual form: a mini-batch, or any part of one, at
/// once. The dual form is exact because all gradients of a mini-batch are taken at its start.
#pragma once

#include "ttt/kernels/elementary.hpp"
#include "ttt/rules/ttt_mlp/state.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// x2 = gelu(z1), element by element; may be in place.
template <class Arch, class Scalar>
void gelu_rows(MatrixView<const Scalar> z, MatrixView<Scalar> x) {
  for (Index r = 0; r < z.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(z.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      kernels::gelu(P::load(z.row(r) + c)).store(x.row(r) + c);
    });
}

/// x2 = gelu(z1), slope = gelu′(z1) and, unless it is empty, curvature = gelu″(z1), element by element; slope may be
/// z1.
template <class Arch, class Scalar>
void gelu_rows_with_slope(MatrixView<const Scalar> z, MatrixView<Scalar> x, MatrixView<Scalar> slope,
                          MatrixView<Scalar> curvature) {
  for (Index r = 0; r < z.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(z.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      const kernels::Gelu gelu(P::load(z.row(r) + c));
      gelu.value().store(x.row(r) + c);
      gelu.derivative().store(slope.row(r) + c);
      if (!curvature.empty()) gelu.second_derivative().store(curvature.row(r) + c);
    });
}

/// Takes the keys of `part` into the state, with x2 = gelu(z1); assigns gelu′(z1), and gelu″(z1) if it is wanted.
template <class Arch, class Scalar>
void ttt_mlp_take_keys(const TttMlpState<Scalar>& state, MiniBatchPart part, const TttRows<const Scalar>& rows,
                       const TttMlpKept<Scalar>& kept) {
  kernels::copy_rows<Arch, Scalar>(rows.keys, state.first.keys.rows(part.first, part.count));
  std::copy(rows.rates.begin(), rows.rates.end(), state.rates.data() + part.first);
  const auto z1 = kept.slope;
  fast_apply_start<Arch>(state.first, rows.keys, z1);
  gelu_rows_with_slope<Arch, Scalar>(z1, state.second.keys.rows(part.first, part.count), kept.slope, kept.curvature);
}

/// The inner gradients of `part`, into the state: g2 = ∂/∂z2 ½‖LN(z2) − (v − k)‖², g1 = e ∘ gelu′(z1); assigns e, whose
/// place may be that of g1.
template <class Arch, class Scalar>
void ttt_mlp_take_gradients(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, MiniBatchPart part,
                            const TttRows<const Scalar>& rows, MatrixView<const Scalar> z2,
                            const TttMlpKept<Scalar>& kept, Arena& scratch) {
  const auto g2 = state.second.gradients.rows(part.first, part.count);
  kernels::reconstruction_gradient_rows<Arch, Scalar>(head.norm, z2, rows.keys, rows.values, g2);
  kernels::block_product_transposed<Arch, Scalar>(g2, state.second.weight, kept.errors, scratch);
  kernels::multiply_rows<Arch, Scalar>(kept.errors, kept.slope, state.first.gradients.rows(part.first, part.count));
}

}  // namespace detail

/// Takes the keys of `part` into the state and computes both maps' inner gradients at the mini-batch's start:
/// x2 = gelu(z1), z2 = x2 W2 + b2 [n × D], which is assigned, g2 = ∂/∂z2 ½‖LN(z2) − (v − k)‖²,
/// g1 = (g2 W2ᵀ) ∘ gelu′(z1).
template <class Arch, class Scalar>
void ttt_mlp_learn(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, MiniBatchPart part,
                   const TttRows<const Scalar>& rows, MatrixView<Scalar> z2, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto errors = state.first.gradients.rows(part.first, part.count);
  const TttMlpKept<Scalar> passing{scratch.matrix<Scalar>(part.count, errors.columns()), {}, errors};
  detail::ttt_mlp_take_keys<Arch>(state, part, rows, passing);
  fast_apply_start<Arch, Scalar>(state.second, state.second.keys.rows(part.first, part.count), z2);
  detail::ttt_mlp_take_gradients<Arch, Scalar>(head, state, part, rows, z2, passing, scratch);
}

/// What `ttt_mlp_learn` did, from the z2 it left; assigns `kept`, of the rows of the part.
template <class Arch, class Scalar>
void ttt_mlp_learn_again(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, MiniBatchPart part,
                         const TttRows<const Scalar>& rows, MatrixView<const Scalar> z2, const TttMlpKept<Scalar>& kept,
                         Arena& scratch) {
  detail::ttt_mlp_take_keys<Arch>(state, part, rows, kept);
  detail::ttt_mlp_take_gradients<Arch, Scalar>(head, state, part, rows, z2, kept, scratch);
}

/// out = q + LN(z2), z2 = gelu(q W1(r) + b1(r)) W2(r) + b2(r) for the tokens of `part`, which have been learned, or
/// with the weights of the start where the order is exclusive; assigns both.
template <class Arch, class Scalar>
void ttt_mlp_apply(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, MiniBatchPart part,
                   MatrixView<const Scalar> queries, MatrixView<Scalar> z2, MatrixView<Scalar> out, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const InnerRates<Scalar> rates = head.rates(state.rates);
  const auto x2 = scratch.matrix<Scalar>(part.count, state.first.weight.columns());
  fast_apply<Arch>(state.first, rates, part, queries, x2, scratch);
  detail::gelu_rows<Arch, Scalar>(x2, x2);
  fast_apply<Arch, Scalar>(state.second, rates, part, x2, z2, scratch);
  kernels::residual_norm_rows<Arch, Scalar>(head.norm, queries, z2, out);
}

/// All four fast weights of `folded`, which may be `state`, ← those after the first `count` tokens of the mini-batch.
template <class Arch, class Scalar>
void ttt_mlp_fold(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, Index count,
                  const TttMlpState<Scalar>& folded, Arena& scratch) {
  const InnerRates<Scalar> rates = head.rates(state.rates);
  fast_fold<Arch>(state.first, rates, count, folded.first, scratch);
  fast_fold<Arch>(state.second, rates, count, folded.second, scratch);
}

/// z = gelu(x W1 + b1) W2 + b2 with the weights of the mini-batch's start.
template <class Arch, class Scalar>
void ttt_mlp_model(const TttMlpState<Scalar>& state, MatrixView<const Scalar> x, MatrixView<Scalar> z, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto hidden = scratch.matrix<Scalar>(x.rows(), state.first.weight.columns());
  fast_apply_start<Arch>(state.first, x, hidden);
  detail::gelu_rows<Arch, Scalar>(hidden, hidden);
  fast_apply_start<Arch, Scalar>(state.second, hidden, z);
}

}  // namespace rules

TTT_NAMESPACE_END
