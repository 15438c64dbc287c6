// SPDX-License-Identifier: MIT
/// @file
/// TTT-Linear token after token, as the paper writes it: the reference of the dual form.
#pragma once

#include "ttt/rules/ttt/fast_primal.hpp"
#include "ttt/rules/ttt_linear/dual.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// For each token r of `part`: the gradient at the mini-batch's start joins the sum, W(r) = W − τ_r Σ, and
/// out_r = q_r + LN(q_r W(r) + b(r)), or with W where the order is exclusive. Same state, before and after, and same z
/// as the dual form.
template <class Arch, class Scalar>
void ttt_linear_primal(const TttHead<Scalar>& head, const TttLinearState<Scalar>& state, MiniBatchPart part,
                       const TttRows<const Scalar>& rows, const TttPreNorm<Scalar>& z, MatrixView<Scalar> out,
                       Arena& scratch) {
  const Arena::Frame frame(scratch);
  FastPrimal<Scalar> map(state.map, scratch);

  for (Index r = 0; r < part.end(); ++r) {
    const Index i = r - part.first;
    if (i >= 0) ttt_linear_learn<Arch>(head, state, MiniBatchPart{r, 1}, rows.rows(i, 1), z.keys.rows(i, 1));
    map.template add_gradient<Arch>(r, state.rates[r]);
    if (i < 0) continue;
    const FastLinear<Scalar>& answering = map.template answering<Arch>(head.rates(state.rates), r);
    if (head.order == TttOrder::simplified) continue;
    const MatrixView<const Scalar> query = rows.queries.rows(i, 1);
    fast_apply_start<Arch>(answering, query, z.queries.rows(i, 1));
    kernels::residual_norm_rows<Arch, Scalar>(head.norm, query, z.queries.rows(i, 1), out.rows(i, 1));
  }
  if (part.end() == state.map.keys.rows()) map.keep();
}

}  // namespace rules

TTT_NAMESPACE_END
