// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/ttt_mlp/dual.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// What the two directions of a part of TTT-MLP share: the transposes and the pre-activations.
template <class Scalar>
struct TttMlpBackward {
  const TttHead<Scalar>& head;
  const TttMlpState<Scalar>& state;
  const TttMlpState<Scalar>& d_state;
  const TttHeadGradient<Scalar>& d_head;
  MiniBatchPart part;
  Arena& scratch;
};

/// Backward of `ttt_mlp_apply`: assigns d_queries.
template <class Arch, class Scalar>
void ttt_mlp_apply_backward(const TttMlpBackward<Scalar>& b, MatrixView<const Scalar> queries,
                            MatrixView<const Scalar> d_out, MatrixView<Scalar> d_queries) {
  const Arena::Frame frame(b.scratch);
  const InnerRates<Scalar> rates{b.state.rates, b.head.factors};
  const InnerRatesGradient<Scalar> d_rates{b.d_state.rates, b.d_head.factors};
  const Index count = b.part.count, hidden = b.state.first.weight.columns(), width = queries.columns();
  const auto z1 = b.scratch.template matrix<Scalar>(count, hidden), x2 = b.scratch.template matrix<Scalar>(count, hidden);
  const auto z2 = b.scratch.template matrix<Scalar>(count, width), d_z2 = b.scratch.template matrix<Scalar>(count, width);
  const auto d_x2 = b.scratch.template matrix<Scalar>(count, hidden);
  fast_apply<Arch>(b.state.first, rates, b.part, queries, z1, b.scratch);
  gelu_rows<Arch, Scalar>(z1, x2);
  fast_apply<Arch, Scalar>(b.state.second, rates, b.part, x2, z2, b.scratch);

  inner_output_backward<Arch, Scalar>(b.head.norm, z2, d_out, d_z2, b.d_head.norm);
  fast_apply_backward<Arch, Scalar>(b.state.second, rates, b.part, x2, d_z2, d_x2,
                                    b.d_state.second, d_rates, b.scratch);
  gelu_rows_backward<Arch, Scalar>(z1, d_x2, d_x2);
  fast_apply_backward<Arch, Scalar>(b.state.first, rates, b.part, queries, d_x2, d_queries,
                                    b.d_state.first, d_rates, b.scratch);
  add_rows<Arch, Scalar>(d_out, d_queries);
}

/// d_g1 → gradients of g1 = e ∘ gelu′(z1), e = g2 W2ᵀ: assigns d_z1, adds to d_g2 and dW2.
template <class Arch, class Scalar>
void ttt_mlp_first_gradient_backward(const TttMlpBackward<Scalar>& b, MatrixView<const Scalar> z1,
                                     MatrixView<Scalar> d_z1) {
  const Arena::Frame frame(b.scratch);
  const Index count = b.part.count, hidden = z1.columns();
  const auto g2 = b.state.second.gradients.rows(b.part.first, count);
  const auto d_g1 = b.d_state.first.gradients.rows(b.part.first, count);
  const auto d_g2 = b.d_state.second.gradients.rows(b.part.first, count);
  const auto e = b.scratch.template matrix<Scalar>(count, hidden);
  kernels::block_product_transposed<Arch, Scalar>(g2, b.state.second.weight, e, b.scratch);
  for (Index r = 0; r < count; ++r)
    simd::for_each_pack<Scalar, Arch>(hidden, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      const kernels::Gelu gelu(P::load(z1.row(r) + c));
      const P d = P::load(d_g1.row(r) + c);
      (d * P::load(e.row(r) + c) * gelu.second_derivative()).store(d_z1.row(r) + c);
      (d * gelu.derivative()).store(e.row(r) + c);
    });
  const MatrixView<Scalar> d_e = e;
  kernels::block_product<Arch>(kernels::Left<Scalar>(d_e), b.state.second.weight, d_g2, kernels::Output::accumulate);
  kernels::block_product<Arch>(kernels::transposed(d_e), g2, b.d_state.second.weight, kernels::Output::accumulate);
}

/// Backward of `ttt_mlp_learn`: from the gradients of the part's rows in d_state to d_keys (there) and d_values.
template <class Arch, class Scalar>
void ttt_mlp_learn_backward(const TttMlpBackward<Scalar>& b, const TttRows<const Scalar>& rows,
                            MatrixView<Scalar> d_values) {
  const Arena::Frame frame(b.scratch);
  const Index count = b.part.count, hidden = b.state.first.weight.columns(), width = rows.keys.columns();
  const auto z1 = b.scratch.template matrix<Scalar>(count, hidden), d_z1 = b.scratch.template matrix<Scalar>(count, hidden);
  const auto z2 = b.scratch.template matrix<Scalar>(count, width), d_z2 = b.scratch.template matrix<Scalar>(count, width);
  const auto x2 = b.state.second.keys.rows(b.part.first, count);
  const auto d_keys = b.d_state.first.keys.rows(b.part.first, count);
  const auto d_x2 = b.d_state.second.keys.rows(b.part.first, count);
  const auto d_g2 = b.d_state.second.gradients.rows(b.part.first, count);
  fast_apply_start<Arch>(b.state.first, rows.keys, z1);
  fast_apply_start<Arch, Scalar>(b.state.second, x2, z2);

  ttt_mlp_first_gradient_backward<Arch, Scalar>(b, z1, d_z1);
  inner_gradient_backward<Arch, Scalar>(b.head.norm, z2, rows.keys, rows.values, d_g2, d_z2, d_keys, d_values,
                                        b.d_head.norm);
  fast_apply_start_backward<Arch, Scalar>(b.state.second, x2, d_z2, d_x2, b.d_state.second, b.scratch);
  gelu_rows_backward<Arch, Scalar>(z1, d_x2, d_x2);
  add_rows<Arch, Scalar>(d_x2, d_z1);
  fast_apply_start_backward<Arch, Scalar>(b.state.first, rows.keys, d_z1, d_keys, b.d_state.first, b.scratch);
}

}  // namespace detail

/// Backward of learn, apply and (when the part ends the mini-batch) fold.
///
/// `state` is what the part started from, with its own rows learned again; `d_state` goes from the gradient of the state
/// after the part to that of the state before. Assigns `d_rows`, adds to `d_head`.
template <class Arch, class Scalar>
void ttt_mlp_backward(const TttHead<Scalar>& head, const TttMlpState<Scalar>& state, MiniBatchPart part,
                      const TttRows<const Scalar>& rows, MatrixView<const Scalar> d_out,
                      const TttMlpState<Scalar>& d_state, const TttRows<Scalar>& d_rows,
                      const TttHeadGradient<Scalar>& d_head, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const detail::TttMlpBackward<Scalar> shared{
      head, state, d_state, d_head, part, scratch};

  if (part.end() == state.first.keys.rows()) {
    const InnerRates<Scalar> rates{state.rates, head.factors};
    const InnerRatesGradient<Scalar> d_rates{d_state.rates, d_head.factors};
    fast_fold_backward<Arch>(state.first, rates, d_state.first, d_rates, scratch);
    fast_fold_backward<Arch>(state.second, rates, d_state.second, d_rates, scratch);
  }
  detail::ttt_mlp_apply_backward<Arch, Scalar>(shared, rows.queries, d_out, d_rows.queries);
  detail::ttt_mlp_learn_backward<Arch, Scalar>(shared, rows, d_rows.values);

  take_rows(part, d_state.first.keys, d_rows.keys);
  take_rates(part, d_state.rates, d_rows.rates);
  for (const auto& done : {d_state.first.gradients, d_state.second.keys, d_state.second.gradients})
    fill(done.rows(part.first, part.count), Scalar(0));
}

}  // namespace rules

TTT_NAMESPACE_END
