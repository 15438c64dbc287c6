// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/ttt_linear/dual.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// Backward of `ttt_linear_apply`, out = q + LN(z), z = q W(r) + b(r): assigns d_queries, and q and d_z, of which W and
/// b get their gradient.
template <class Arch, class Scalar>
void ttt_linear_apply_backward(const TttHead<Scalar>& head, const TttLinearState<Scalar>& state, MiniBatchPart part,
                               MatrixView<const Scalar> queries, MatrixView<const Scalar> d_out,
                               const TttLinearState<Scalar>& d_state, MatrixView<Scalar> d_queries,
                               const FastOuter<Scalar>& outer, const TttHeadGradient<Scalar>& d_head, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const InnerRates<Scalar> rates = head.rates(state.rates);
  const auto z = scratch.matrix<Scalar>(part.count, queries.columns());
  const auto d_z = outer.right.rows(0, part.count);
  kernels::copy_rows<Arch, Scalar>(queries, outer.left.rows(0, part.count));
  const auto mixing = fast_mixing<Arch>(state.map, rates, part, queries, scratch);
  fast_apply<Arch, Scalar>(state.map, mixing, part, queries, z);
  kernels::residual_norm_rows_backward<Arch, Scalar>(head.norm, z, d_out, d_z, d_head.norm);
  fast_apply_backward<Arch, Scalar>(state.map, rates, part, mixing, queries, d_z, d_queries, d_state.map,
                                    {d_state.rates, d_head.factors}, scratch);
  kernels::add_rows<Arch, Scalar>(d_out, d_queries);
}

}  // namespace detail

/// Backward of learn, apply and (when the part ends the mini-batch) fold.
///
/// `state` is what the part started from, with its own rows learned again, and `kept` what that learning left;
/// `d_state` goes from the gradient of the state after the part to that of the state before. Assigns `d_rows`, adds to
/// `d_head`.
template <class Arch, class Scalar>
void ttt_linear_backward(const TttHead<Scalar>& head, const TttLinearState<Scalar>& state,
                         const TttLinearKept<Scalar>& kept, MiniBatchPart part, const TttRows<const Scalar>& rows,
                         MatrixView<const Scalar> d_out, const TttLinearState<Scalar>& d_state,
                         const TttRows<Scalar>& d_rows, const TttHeadGradient<Scalar>& d_head, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const bool simplified = head.order == TttOrder::simplified;
  const Index count = part.count, width = rows.keys.columns(), queries = simplified ? 0 : count;
  const FastOuter<Scalar> outer(queries + count, width, width, scratch);  // of the queries, then of the keys
  kernels::copy_rows<Arch, Scalar>(rows.keys, outer.left.rows(queries, count));

  // W(last) of the mini-batch
  if (part.end() == state.map.keys.rows())
    fast_fold_backward<Arch>(state.map, head.rates(state.rates), d_state.map, {d_state.rates, d_head.factors}, scratch);

  if (!simplified)
    detail::ttt_linear_apply_backward<Arch, Scalar>(head, state, part, rows.queries, d_out, d_state, d_rows.queries,
                                                    outer, d_head, scratch);

  // g = ∂/∂z ½‖LN(z) − (v − k)‖², z = k W + b
  const auto d_keys = d_state.map.keys.rows(part.first, count);
  const auto d_gradients = d_state.map.gradients.rows(part.first, count);
  const auto d_z = outer.right.rows(queries, count);
  kernels::reconstruction_gradient_rows_backward<Arch, Scalar>(head.norm, kept.z.rows(0, count), rows.keys, rows.values,
                                                               d_gradients, d_z, d_keys, d_rows.values, d_head.norm);
  if (simplified) prediction_backward<Arch, Scalar>(head, kept.z.rows(0, count), d_out, d_z, d_keys, d_head, scratch);
  fast_apply_start_backward<Arch, Scalar>(state.map, d_z, d_keys, scratch);

  fast_weight_backward<Arch, Scalar>(outer, queries + count, d_state.map);

  // The part's own rows leave the state's gradient for the gradient of its inputs.
  take_rows<Arch, Scalar>(part, d_state.map.keys, d_rows.keys);
  fill(d_gradients, Scalar(0));
  take_rates(part, d_state.rates, d_rows.rates);
}

}  // namespace rules

TTT_NAMESPACE_END
