// SPDX-License-Identifier: MIT
/// @file
/// The gated unit silu(gate) ∘ up (Shazeer 2020, "GLU variants improve transformer", equation 5).
#pragma once

#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/elementary.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// h = silu(gate) ∘ up, all [N × F]. h is assigned and may equal gate or up.
template <class Arch = simd::Native, class Scalar>
void swiglu(MatrixView<const std::type_identity_t<Scalar>> gate, MatrixView<const std::type_identity_t<Scalar>> up,
            MatrixView<Scalar> h) {
  for (Index r = 0; r < h.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(h.columns(), [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
      (silu(P::load(gate.row(r) + i)) * P::load(up.row(r) + i)).store(h.row(r) + i);
    });
}

/// d_gate = d_h ∘ up ∘ silu′(gate), d_up = d_h ∘ silu(gate), all [N × F]. Both are assigned; each may equal any input.
template <class Arch = simd::Native, class Scalar>
void swiglu_backward(MatrixView<const std::type_identity_t<Scalar>> gate,
                     MatrixView<const std::type_identity_t<Scalar>> up,
                     MatrixView<const std::type_identity_t<Scalar>> d_h, MatrixView<Scalar> d_gate,
                     MatrixView<std::type_identity_t<Scalar>> d_up) {
  for (Index r = 0; r < gate.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(gate.columns(), [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
      const P g = P::load(gate.row(r) + i), d = P::load(d_h.row(r) + i), u = P::load(up.row(r) + i);
      const P s = sigmoid(g);
      (d * u * (s * simd::fma(g, P(Scalar(1)) - s, P(Scalar(1))))).store(d_gate.row(r) + i);
      (d * (g * s)).store(d_up.row(r) + i);
    });
}

}  // namespace kernels

TTT_NAMESPACE_END
