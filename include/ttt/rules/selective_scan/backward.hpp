// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/selective_scan/step.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// The adjoint of one token that found `before` and left `after` [N × C]. d_state goes from the gradient of the one to
/// that of the other, the rows of d are assigned, d_rates accumulates.
template <class Arch, class Scalar>
void scan_step_backward(const ScanRows<const Scalar> &token, MatrixView<const Scalar> rates,
                        MatrixView<const Scalar> before, MatrixView<const Scalar> after, const Scalar *d_out,
                        MatrixView<Scalar> d_state, const ScanRows<Scalar> &d, MatrixView<Scalar> d_rates) {
  const Scalar *const x = token.values.row(0), *const step = token.steps.row(0);
  Scalar *const d_x = d.values.row(0), *const d_step = d.steps.row(0);
  for (Index n = 0; n < rates.rows(); ++n) d.output(0, n) = kernels::dot<Arch>(after.row(n), d_out, after.columns());
  // Until the end d_x is the gradient of Δ x.
  fill(d.values, Scalar(0));
  fill(d.steps, Scalar(0));
  for (Index n = 0; n < rates.rows(); ++n) {
    const Scalar in = token.input(0, n), out = token.output(0, n);
    d.input(0, n) = simd::sum_packs<Scalar, Arch>(rates.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      const P rate = P::load(rates.row(n) + c), size = P::load(step + c), kept = kernels::weight_exp(size * rate);
      const P later = simd::fma(P(out), P::load(d_out + c), P::load(d_state.row(n) + c));
      const P of_exponent = later * P::load(before.row(n) + c) * kept;
      simd::fma(P(in), later, P::load(d_x + c)).store(d_x + c);
      simd::fma(rate, of_exponent, P::load(d_step + c)).store(d_step + c);
      simd::fma(size, of_exponent, P::load(d_rates.row(n) + c)).store(d_rates.row(n) + c);
      (kept * later).store(d_state.row(n) + c);
      return later * size * P::load(x + c);
    });
  }
  simd::for_each_pack<Scalar, Arch>(rates.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
    const P of_product = P::load(d_x + c);
    simd::fma(of_product, P::load(x + c), P::load(d_step + c)).store(d_step + c);
    (of_product * P::load(step + c)).store(d_x + c);
  });
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
