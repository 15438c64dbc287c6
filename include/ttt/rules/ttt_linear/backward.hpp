// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/ttt_linear/dual.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

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
  const Index count = part.count, width = rows.keys.columns();
  const InnerRates<Scalar> rates{state.rates, head.factors};
  const InnerRatesGradient<Scalar> d_rates{d_state.rates, d_head.factors};
  const auto z = scratch.matrix<Scalar>(count, width);
  const FastOuter<Scalar> outer(2 * count, width, width, scratch);  // of the queries, then of the keys
  kernels::copy_rows<Arch, Scalar>(rows.queries, outer.left.rows(0, count));
  kernels::copy_rows<Arch, Scalar>(rows.keys, outer.left.rows(count, count));

  // W(last) of the mini-batch
  if (part.end() == state.map.keys.rows()) fast_fold_backward<Arch>(state.map, rates, d_state.map, d_rates, scratch);

  // out = q + LN(z), z = q W(r) + b(r)
  const auto mixing = fast_mixing<Arch>(state.map, rates, part, rows.queries, scratch);
  const auto d_applied = outer.right.rows(0, count);
  fast_apply<Arch, Scalar>(state.map, mixing, part, rows.queries, z);
  kernels::residual_norm_rows_backward<Arch, Scalar>(head.norm, z, d_out, d_applied, d_head.norm);
  fast_apply_backward<Arch, Scalar>(state.map, rates, part, mixing, rows.queries, d_applied, d_rows.queries,
                                    d_state.map, d_rates, scratch);
  kernels::add_rows<Arch, Scalar>(d_out, d_rows.queries);

  // g = ∂/∂z ½‖LN(z) − (v − k)‖², z = k W + b
  const auto d_keys = d_state.map.keys.rows(part.first, count);
  const auto d_gradients = d_state.map.gradients.rows(part.first, count);
  const auto d_z = outer.right.rows(count, count);
  kernels::reconstruction_gradient_rows_backward<Arch, Scalar>(head.norm, kept.z.rows(0, count), rows.keys, rows.values,
                                                               d_gradients, d_z, d_keys, d_rows.values, d_head.norm);
  fast_apply_start_backward<Arch, Scalar>(state.map, d_z, d_keys, scratch);

  fast_weight_backward<Arch, Scalar>(outer, 2 * count, d_state.map);

  // The part's own rows leave the state's gradient for the gradient of its inputs.
  take_rows<Arch, Scalar>(part, d_state.map.keys, d_rows.keys);
  fill(d_gradients, Scalar(0));
  take_rates(part, d_state.rates, d_rows.rates);
}

}  // namespace rules

TTT_NAMESPACE_END
