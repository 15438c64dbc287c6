// SPDX-License-Identifier: MIT
/// @file
/// What LaCT's inner model reads of queries and keys (Zhang et al. 2025, arXiv 2505.23884): scaled and shifted channel
/// by channel, through silu, and of unit length in each head,
///
///     u = silu(s ∘ x + o),   y = u / (‖u‖ + ε)      the epsilon outside the root
#pragma once

#include <cmath>
#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// Every `width` columns of every row are of unit length: x, y [N × C], s, o [C]. y is assigned and may equal x.
template <class Arch = simd::Native, class Scalar>
void unit_silu(MatrixView<const std::type_identity_t<Scalar>> x, VectorView<const std::type_identity_t<Scalar>> scale,
               VectorView<const std::type_identity_t<Scalar>> offset, Index width, std::type_identity_t<Scalar> epsilon,
               MatrixView<Scalar> y) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index first = 0; first < x.columns(); first += width) {
      const Scalar *const from = x.row(r) + first, *const s = scale.data() + first, *const o = offset.data() + first;
      Scalar *const to = y.row(r) + first;
      const Scalar squares = simd::sum_packs<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
        const P u = silu(simd::fma(P::load(s + i), P::load(from + i), P::load(o + i)));
        u.store(to + i);
        return u * u;
      });
      const Scalar factor = Scalar(1) / (std::sqrt(squares) + epsilon);
      kernels::scale<Arch>(factor, to, width, to);
    }
}

/// Backward of `unit_silu`: d_x is assigned and overlaps nothing that is read, d_s and d_o [C] accumulate.
template <class Arch = simd::Native, class Scalar>
void unit_silu_backward(MatrixView<const std::type_identity_t<Scalar>> x,
                        VectorView<const std::type_identity_t<Scalar>> scale,
                        VectorView<const std::type_identity_t<Scalar>> offset, Index width,
                        std::type_identity_t<Scalar> epsilon, MatrixView<const std::type_identity_t<Scalar>> d_y,
                        MatrixView<Scalar> d_x, VectorView<std::type_identity_t<Scalar>> d_scale,
                        VectorView<std::type_identity_t<Scalar>> d_offset) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index first = 0; first < x.columns(); first += width) {
      const Scalar *const from = x.row(r) + first, *const d = d_y.row(r) + first;
      const Scalar *const s = scale.data() + first, *const o = offset.data() + first;
      Scalar *const to = d_x.row(r) + first, *const d_s = d_scale.data() + first, *const d_o = d_offset.data() + first;
      const Scalar squares = simd::sum_packs<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
        const P u = silu(simd::fma(P::load(s + i), P::load(from + i), P::load(o + i)));
        u.store(to + i);
        return u * u;
      });
      const Scalar length = std::sqrt(squares), factor = Scalar(1) / (length + epsilon);
      const Scalar along = length > Scalar(0) ? dot<Arch>(to, d, width) * factor * factor / length : Scalar(0);
      simd::for_each_pack<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
        const P value = P::load(from + i), rate = P::load(s + i);
        const P d_u = simd::fma(P(-along), P::load(to + i), P(factor) * P::load(d + i));
        const P d_z = d_u * Silu(simd::fma(rate, value, P::load(o + i))).derivative();
        simd::fma(d_z, value, P::load(d_s + i)).store(d_s + i);
        (P::load(d_o + i) + d_z).store(d_o + i);
        (d_z * rate).store(to + i);
      });
    }
}

}  // namespace kernels

TTT_NAMESPACE_END
