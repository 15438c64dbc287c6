// SPDX-License-Identifier: MIT
/// @file
/// TTT-Linear, inner model f(x) = x + LN(x W + b), in its dual form: a mini-batch, or any part of one, at once.
#pragma once

#include "ttt/rules/ttt_linear/state.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Takes the keys of `part` into the state and computes their inner gradients at the weights of the mini-batch's start:
/// g = ∂/∂z ½‖LN(z) − (v − k)‖², z = k W + b [n × D], which is assigned.
template <class Arch, class Scalar>
void ttt_linear_learn(const TttHead<Scalar>& head, const TttLinearState<Scalar>& state, MiniBatchPart part,
                      const TttRows<const Scalar>& rows, MatrixView<Scalar> z) {
  kernels::copy_rows<Arch, Scalar>(rows.keys, state.map.keys.rows(part.first, part.count));
  std::copy(rows.rates.begin(), rows.rates.end(), state.rates.data() + part.first);
  fast_apply_start<Arch>(state.map, rows.keys, z);
  kernels::reconstruction_gradient_rows<Arch, Scalar>(head.norm, z, rows.keys, rows.values,
                                                      state.map.gradients.rows(part.first, part.count));
}

/// out = q + LN(z), z = q W(r) + b(r) for the tokens of `part`, which have been learned, or q W + b where the order is
/// exclusive; assigns both.
template <class Arch, class Scalar>
void ttt_linear_apply(const TttHead<Scalar>& head, const TttLinearState<Scalar>& state, MiniBatchPart part,
                      MatrixView<const Scalar> queries, MatrixView<Scalar> z, MatrixView<Scalar> out, Arena& scratch) {
  fast_apply<Arch>(state.map, head.rates(state.rates), part, queries, z, scratch);
  kernels::residual_norm_rows<Arch, Scalar>(head.norm, queries, z, out);
}

/// W, b of `folded`, which may be `state`, ← the weights after the first `count` tokens of the mini-batch.
template <class Arch, class Scalar>
void ttt_linear_fold(const TttHead<Scalar>& head, const TttLinearState<Scalar>& state, Index count,
                     const TttLinearState<Scalar>& folded, Arena& scratch) {
  fast_fold<Arch>(state.map, head.rates(state.rates), count, folded.map, scratch);
}

/// z = x W + b with the weights of the mini-batch's start.
template <class Arch, class Scalar>
void ttt_linear_model(const TttLinearState<Scalar>& state, MatrixView<const Scalar> x, MatrixView<Scalar> z, Arena&) {
  fast_apply_start<Arch>(state.map, x, z);
}

}  // namespace rules

TTT_NAMESPACE_END
