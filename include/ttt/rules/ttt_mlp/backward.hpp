// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/ttt_mlp/dual.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// What the two directions of a part of TTT-MLP share.
template <class Scalar>
struct TttMlpBackward {
  const TttHead<Scalar>& head;
  const TttMlpState<Scalar>& state;
  const TttMlpKept<Scalar>& kept;
  const TttMlpState<Scalar>& d_state;
  const TttHeadGradient<Scalar>& d_head;
  MiniBatchPart part;
  Index queries;             ///< rows of apply in what follows, before those of learn; none in the simplified order
  FastOuter<Scalar> first;   ///< q with d_z1 of apply, k with d_z1 of learn
  FastOuter<Scalar> second;  ///< x2 with d_z2 of apply, x2 with d_z2 of learn, d_e with g2
  Arena& scratch;

  /// The rows of them that belong to apply, to learn and to its errors.
  MatrixView<Scalar> of_apply(MatrixView<Scalar> rows) const { return rows.rows(0, part.count); }
  MatrixView<Scalar> of_learn(MatrixView<Scalar> rows) const { return rows.rows(queries, part.count); }
  MatrixView<Scalar> of_errors(MatrixView<Scalar> rows) const { return rows.rows(queries + part.count, part.count); }
  InnerRates<Scalar> rates() const { return head.rates(state.rates); }
  InnerRatesGradient<Scalar> d_rates() const { return {d_state.rates, d_head.factors}; }
};

/// Backward of `ttt_mlp_apply`: assigns d_queries.
template <class Arch, class Scalar>
void ttt_mlp_apply_backward(const TttMlpBackward<Scalar>& b, MatrixView<const Scalar> queries,
                            MatrixView<const Scalar> z2, MatrixView<const Scalar> d_out, MatrixView<Scalar> d_queries) {
  const Arena::Frame frame(b.scratch);
  const auto z1 = b.scratch.template matrix<Scalar>(b.part.count, b.state.first.weight.columns()), slope = z1;
  const auto x2 = b.of_apply(b.second.left), d_z2 = b.of_apply(b.second.right), d_z1 = b.of_apply(b.first.right);
  kernels::copy_rows<Arch, Scalar>(queries, b.of_apply(b.first.left));
  const auto first = fast_mixing<Arch>(b.state.first, b.rates(), b.part, queries, b.scratch);
  fast_apply<Arch, Scalar>(b.state.first, first, b.part, queries, z1);
  gelu_rows_with_slope<Arch, Scalar>(z1, x2, slope, {});
  const auto second = fast_mixing<Arch, Scalar>(b.state.second, b.rates(), b.part, x2, b.scratch);

  kernels::residual_norm_rows_backward<Arch, Scalar>(b.head.norm, z2, d_out, d_z2, b.d_head.norm);
  fast_apply_backward<Arch, Scalar>(b.state.second, b.rates(), b.part, second, x2, d_z2, d_z1, b.d_state.second,
                                    b.d_rates(), b.scratch);
  kernels::multiply_rows<Arch, Scalar>(d_z1, slope, d_z1);
  fast_apply_backward<Arch, Scalar>(b.state.first, b.rates(), b.part, first, queries, d_z1, d_queries, b.d_state.first,
                                    b.d_rates(), b.scratch);
  kernels::add_rows<Arch, Scalar>(d_out, d_queries);
}

/// d_e = d_g1 ∘ gelu′(z1), d_z1 = d_g1 ∘ e ∘ gelu″(z1), in one pass.
template <class Arch, class Scalar>
void ttt_mlp_slope_backward(const TttMlpKept<Scalar>& kept, MatrixView<const Scalar> d_g1, MatrixView<Scalar> d_e,
                            MatrixView<Scalar> d_z1) {
  for (Index r = 0; r < d_g1.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(d_g1.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      const P d = P::load(d_g1.row(r) + c);
      (d * P::load(kept.slope.row(r) + c)).store(d_e.row(r) + c);
      (d * P::load(kept.errors.row(r) + c) * P::load(kept.curvature.row(r) + c)).store(d_z1.row(r) + c);
    });
}

/// d_g1 → gradients of g1 = e ∘ gelu′(z1), e = g2 W2ᵀ: d_e = d_g1 ∘ gelu′(z1), d_z1 = d_g1 ∘ e ∘ gelu″(z1), d_g2 += d_e
/// W2.
template <class Arch, class Scalar>
void ttt_mlp_first_gradient_backward(const TttMlpBackward<Scalar>& b) {
  const auto d_g1 = b.d_state.first.gradients.rows(b.part.first, b.part.count);
  const auto d_g2 = b.d_state.second.gradients.rows(b.part.first, b.part.count);
  const auto d_e = b.of_errors(b.second.left), d_z1 = b.of_learn(b.first.right);
  ttt_mlp_slope_backward<Arch, Scalar>(b.kept, d_g1, d_e, d_z1);
  kernels::copy_rows<Arch, Scalar>(b.state.second.gradients.rows(b.part.first, b.part.count),
                                   b.of_errors(b.second.right));
  kernels::block_product<Arch>(kernels::Left<Scalar>(d_e), b.state.second.weight, d_g2, kernels::Output::accumulate);
}

/// Backward of `ttt_mlp_learn`, whose predictions are the answers in the simplified order: from the gradients of the
/// part's rows in d_state to d_keys (there) and d_values.
template <class Arch, class Scalar>
void ttt_mlp_learn_backward(const TttMlpBackward<Scalar>& b, const TttRows<const Scalar>& rows,
                            MatrixView<const Scalar> z2, MatrixView<const Scalar> d_out, MatrixView<Scalar> d_values) {
  const Index count = b.part.count;
  const auto d_keys = b.d_state.first.keys.rows(b.part.first, count);
  const auto d_x2 = b.d_state.second.keys.rows(b.part.first, count);
  const auto d_g2 = b.d_state.second.gradients.rows(b.part.first, count);
  const auto d_z1 = b.of_learn(b.first.right), d_z2 = b.of_learn(b.second.right);
  kernels::copy_rows<Arch, Scalar>(rows.keys, b.of_learn(b.first.left));
  kernels::copy_rows<Arch, Scalar>(b.state.second.keys.rows(b.part.first, count), b.of_learn(b.second.left));

  ttt_mlp_first_gradient_backward<Arch, Scalar>(b);
  kernels::reconstruction_gradient_rows_backward<Arch, Scalar>(b.head.norm, z2, rows.keys, rows.values, d_g2, d_z2,
                                                               d_keys, d_values, b.d_head.norm);
  if (b.queries == 0) prediction_backward<Arch, Scalar>(b.head, z2, d_out, d_z2, d_keys, b.d_head, b.scratch);
  fast_apply_start_backward<Arch, Scalar>(b.state.second, d_z2, d_x2, b.scratch);
  kernels::multiply_add_rows<Arch, Scalar>(d_x2, b.kept.slope, d_z1);
  fast_apply_start_backward<Arch, Scalar>(b.state.first, d_z1, d_keys, b.scratch);
}

}  // namespace detail

/// Backward of learn, apply and (when the part ends the mini-batch) fold.
///
/// `state` is what the part started from, with its own rows learned again, `kept` what that learning left and `z` what
/// the forward left; `d_state` goes from the gradient of the state after the part to that of the state before. Assigns
/// `d_rows`, adds to `d_head`.
template <class Arch, class Scalar>
void ttt_mlp_backward(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, const TttMlpKept<Scalar>& kept,
                      MiniBatchPart part, const TttRows<const Scalar>& rows, const TttPreNorm<Scalar>& z,
                      MatrixView<const Scalar> d_out, const TttMlpState<Scalar>& d_state, const TttRows<Scalar>& d_rows,
                      const TttHeadGradient<Scalar>& d_head, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index count = part.count, width = rows.keys.columns(), hidden = state.first.weight.columns();
  const Index queries = head.order == TttOrder::simplified ? 0 : count;
  const detail::TttMlpBackward<Scalar> shared{head,
                                              state,
                                              kept,
                                              d_state,
                                              d_head,
                                              part,
                                              queries,
                                              {queries + count, width, hidden, scratch},
                                              {queries + 2 * count, hidden, width, scratch},
                                              scratch};
  if (part.end() == state.first.keys.rows()) {
    fast_fold_backward<Arch>(state.first, shared.rates(), d_state.first, shared.d_rates(), scratch);
    fast_fold_backward<Arch>(state.second, shared.rates(), d_state.second, shared.d_rates(), scratch);
  }
  if (queries > 0) detail::ttt_mlp_apply_backward<Arch, Scalar>(shared, rows.queries, z.queries, d_out, d_rows.queries);
  detail::ttt_mlp_learn_backward<Arch, Scalar>(shared, rows, z.keys, d_out, d_rows.values);
  fast_weight_backward<Arch, Scalar>(shared.first, queries + count, d_state.first);
  fast_weight_backward<Arch, Scalar>(shared.second, queries + count, d_state.second);

  take_rows<Arch, Scalar>(part, d_state.first.keys, d_rows.keys);
  take_rates(part, d_state.rates, d_rows.rates);
  for (const auto& done : {d_state.first.gradients, d_state.second.keys, d_state.second.gradients})
    fill(done.rows(part.first, part.count), Scalar(0));
}

}  // namespace rules

TTT_NAMESPACE_END
