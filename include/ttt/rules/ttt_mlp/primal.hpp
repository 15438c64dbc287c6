// SPDX-License-Identifier: MIT
/// @file
/// TTT-MLP token after token, as the paper writes it: the reference of the dual form.
#pragma once

#include "ttt/rules/ttt/fast_primal.hpp"
#include "ttt/rules/ttt_mlp/dual.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// For each token r of `part`: the gradients at the mini-batch's start join the sums, W(r) = W − τ_r Σ, and
/// out_r = q_r + LN(gelu(q_r W1(r) + b1(r)) W2(r) + b2(r)), or with W where the order is exclusive. Same state, before
/// and after, and same z as the dual form.
template <class Arch, class Scalar>
void ttt_mlp_primal(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, MiniBatchPart part,
                    const TttRows<const Scalar>& rows, const TttPreNorm<Scalar>& z, MatrixView<Scalar> out,
                    Arena& scratch) {
  const Arena::Frame frame(scratch);
  FastPrimal<Scalar> first(state.first, scratch), second(state.second, scratch);
  const auto x2 = scratch.matrix<Scalar>(1, state.first.weight.columns());

  for (Index r = 0; r < part.end(); ++r) {
    const Index i = r - part.first;
    if (i >= 0) ttt_mlp_learn<Arch>(head, state, MiniBatchPart{r, 1}, rows.rows(i, 1), z.keys.rows(i, 1), scratch);
    first.template add_gradient<Arch>(r, state.rates[r]);
    second.template add_gradient<Arch>(r, state.rates[r]);
    if (i < 0) continue;
    const FastLinear<Scalar>& answering1 = first.template answering<Arch>(head.rates(state.rates), r);
    const FastLinear<Scalar>& answering2 = second.template answering<Arch>(head.rates(state.rates), r);
    if (head.order == TttOrder::simplified) continue;
    const MatrixView<const Scalar> query = rows.queries.rows(i, 1);
    fast_apply_start<Arch>(answering1, query, x2);
    detail::gelu_rows<Arch, Scalar>(x2, x2);
    fast_apply_start<Arch, Scalar>(answering2, x2, z.queries.rows(i, 1));
    kernels::residual_norm_rows<Arch, Scalar>(head.norm, query, z.queries.rows(i, 1), out.rows(i, 1));
  }
  if (part.end() == state.first.keys.rows()) {
    first.keep();
    second.keep();
  }
}

}  // namespace rules

TTT_NAMESPACE_END
