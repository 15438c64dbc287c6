// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/elementary.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// y = y ∘ gelu(gate), all [N × C]: the output gate of the TTT layers with tanh-GELU (Hendrycks and Gimpel 2016). In
/// place.
template <class Arch = simd::Native, class Scalar>
void gelu_gate(MatrixView<const std::type_identity_t<Scalar>> gate, MatrixView<Scalar> y) {
  for (Index r = 0; r < y.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P::load(y.row(r) + c) * gelu(P::load(gate.row(r) + c))).store(y.row(r) + c);
    });
}

/// Backward of `gelu_gate` for its input x: d_gate = d_y ∘ x ∘ gelu′(gate), and d_y becomes d_x = d_y ∘ gelu(gate).
/// d_gate is assigned; nothing overlaps.
template <class Arch = simd::Native, class Scalar>
void gelu_gate_backward(MatrixView<const std::type_identity_t<Scalar>> gate,
                        MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> d_y,
                        MatrixView<std::type_identity_t<Scalar>> d_gate) {
  for (Index r = 0; r < d_y.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(d_y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      const Gelu gelu(P::load(gate.row(r) + c));
      const P d = P::load(d_y.row(r) + c);
      (d * P::load(x.row(r) + c) * gelu.derivative()).store(d_gate.row(r) + c);
      (d * gelu.value()).store(d_y.row(r) + c);
    });
}

}  // namespace kernels

TTT_NAMESPACE_END
