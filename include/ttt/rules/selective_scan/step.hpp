// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/kernels/elementary.hpp"
#include "ttt/rules/selective_scan/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// One token: h = e^(Δ A) ∘ before + (Δ x) Bᵀ and out = Σ_n C_n h_n, for h at `after` [N × C], which may be `before`.
template <class Arch, class Scalar>
void scan_step(const ScanRows<const Scalar>& token, MatrixView<const Scalar> rates, MatrixView<const Scalar> before,
               MatrixView<Scalar> after, Scalar* out) {
  const Scalar *const x = token.values.row(0), *const step = token.steps.row(0);
  simd::for_each_pack<Scalar, Arch>(rates.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
    const P size = P::load(step + c), product = size * P::load(x + c);
    P answer(Scalar(0));
    for (Index n = 0; n < rates.rows(); ++n) {
      const P kept = kernels::weight_exp(size * P::load(rates.row(n) + c));
      const P now = simd::fma(kept, P::load(before.row(n) + c), product * P(token.input(0, n)));
      now.store(after.row(n) + c);
      answer = simd::fma(P(token.output(0, n)), now, answer);
    }
    answer.store(out + c);
  });
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
