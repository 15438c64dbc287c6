// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/kernels/elementary.hpp"
#include "ttt/rules/selective_scan/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// Most tokens that one pack of channels walks over before the next pack does: what all of them read stays in the
/// first-level cache, and what is accumulated over tokens in registers.
inline constexpr Index scan_tokens = 16;
/// Numbers of the state that walk together: as many exponentials hide each other's latency.
inline constexpr Index scan_states = 4;

/// Calls `body(Extent<count>(), n)` for numbers [n, n + count) of the state, in order.
template <class Body>
TTT_INLINE void over_states(Index states, Body&& body) {
  Index n = 0;
  for (; n + scan_states <= states; n += scan_states) body(Extent<scan_states>(), n);
  for (; n < states; ++n) body(Extent<1>(), n);
}

/// Numbers [n, n + count) of the state of a pack of channels from c on, and their rates.
template <class P, Index count>
struct ScanStates {
  P now[count], rate[count];

  template <class Scalar>
  TTT_INLINE ScanStates(MatrixView<Scalar> state, MatrixView<const std::remove_const_t<Scalar>> rates, Index n,
                        Index c) {
    TTT_UNROLL for (Index k = 0; k < count; ++k) now[k] = P::load(state.row(n + k) + c);
    TTT_UNROLL for (Index k = 0; k < count; ++k) rate[k] = P::load(rates.row(n + k) + c);
  }

  /// h_t = e^(Δ A) ∘ h_{t−1} + (Δ x) B for a row of B from n on. Assigns e^(Δ A) to `kept`.
  template <class Scalar>
  TTT_INLINE void step(P size, P product, const Scalar* input, P (&kept)[count]) {
    P exponent[count];
    TTT_UNROLL for (Index k = 0; k < count; ++k) exponent[k] = size * rate[k];
    kernels::weight_exp(exponent, kept);
    TTT_UNROLL for (Index k = 0; k < count; ++k) now[k] = simd::fma(kept[k], now[k], product * P(input[k]));
  }
};

/// Some tokens: `state` h [N × C] advances, out_t = Σ_n C_n h_n is assigned. (The views are copies, as for all that
/// the compiler knows a pack that is stored could change others.)
template <class Arch, class Scalar>
void scan_walk(ScanRows<const Scalar> rows, MatrixView<const Scalar> rates, MatrixView<Scalar> state,
               MatrixView<Scalar> out) {
  simd::for_each_pack<Scalar, Arch>(rates.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
    over_states(rates.rows(), [&]<Index count>(Extent<count>, Index n) TTT_INLINE_LAMBDA {
      ScanStates<P, count> states(state, rates, n, c);
      P kept[count];
      for (Index t = 0; t < rows.tokens(); ++t) {
        const P size = P::load(rows.steps.row(t) + c);
        states.step(size, size * P::load(rows.values.row(t) + c), rows.input.row(t) + n, kept);
        P answer = n == 0 ? P(Scalar(0)) : P::load(out.row(t) + c);
        TTT_UNROLL for (Index k = 0; k < count; ++k) answer =
            simd::fma(P(rows.output(t, n + k)), states.now[k], answer);
        answer.store(out.row(t) + c);
      }
      TTT_UNROLL for (Index k = 0; k < count; ++k) states.now[k].store(state.row(n + k) + c);
    });
  });
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
