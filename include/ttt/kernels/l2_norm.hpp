// SPDX-License-Identifier: MIT
/// @file
/// Unit length of the queries and keys of each head, as the delta rules want them (Yang et al. 2024, "Parallelizing
/// linear transformers with the delta rule"): x / √(Σ x² + ε), the epsilon inside the root.
#pragma once

#include <cmath>
#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// 1 / √(Σ x² + ε).
template <class Arch, class Scalar>
TTT_INLINE Scalar inverse_length(const Scalar* x, Index width, Scalar epsilon) {
  using std::sqrt;
  const Scalar sum = simd::sum_packs<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P value = P::load(x + i);
    return value * value;
  });
  return Scalar(1) / sqrt(sum + epsilon);
}

}  // namespace detail

/// y = scale · s x, s = 1 / √(Σ x² + ε), over every `width` columns of every row: x, y [N × C]. y is assigned and may
/// equal x.
template <class Arch = simd::Native, class Scalar>
void l2_norm(MatrixView<const std::type_identity_t<Scalar>> x, Index width, std::type_identity_t<Scalar> epsilon,
             std::type_identity_t<Scalar> scale, MatrixView<Scalar> y) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index first = 0; first < x.columns(); first += width) {
      const Scalar* const from = x.row(r) + first;
      kernels::scale<Arch>(scale * detail::inverse_length<Arch>(from, width, epsilon), from, width, y.row(r) + first);
    }
}

/// Backward of `l2_norm`: d_x = scale · s (d_y − s x Σ (s x ∘ d_y)). d_x is assigned and may equal d_y or x.
template <class Arch = simd::Native, class Scalar>
void l2_norm_backward(MatrixView<const std::type_identity_t<Scalar>> x, Index width,
                      std::type_identity_t<Scalar> epsilon, std::type_identity_t<Scalar> scale,
                      MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_x) {
  for (Index r = 0; r < x.rows(); ++r)
    for (Index first = 0; first < x.columns(); first += width) {
      const Scalar *const from = x.row(r) + first, *const d = d_y.row(r) + first;
      Scalar* const to = d_x.row(r) + first;
      const Scalar s = detail::inverse_length<Arch>(from, width, epsilon), factor = scale * s;
      const Scalar projection = simd::sum_packs<Scalar, Arch>(
          width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA { return P::load(from + i) * P(s) * P::load(d + i); });
      simd::for_each_pack<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
        (P(factor) * simd::fma(P::load(from + i) * P(s), P(-projection), P::load(d + i))).store(to + i);
      });
    }
}

}  // namespace kernels

TTT_NAMESPACE_END
