// SPDX-License-Identifier: MIT
/// @file
/// Root-mean-square normalisation (Zhang and Sennrich 2019, "Root mean square layer normalization", equation 4).
#pragma once

#include <cmath>
#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// 1/√(⟨x²⟩ + ε).
template <class Arch, class Scalar>
TTT_INLINE Scalar inverse_root_mean_square(const Scalar* x, Index width, Scalar epsilon) {
  using std::sqrt;
  const Scalar sum = simd::sum_packs<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P value = P::load(x + i);
    return value * value;
  });
  return Scalar(1) / sqrt(sum / static_cast<Scalar>(width) + epsilon);
}

}  // namespace detail

/// y = weight ∘ x · s, s = 1/√(⟨x²⟩ + ε), over one row [width]. y is assigned and may equal x.
template <class Arch = simd::Native, class Scalar>
void rms_norm_row(const Scalar* x, const Scalar* weight, Index width, std::type_identity_t<Scalar> epsilon, Scalar* y) {
  const Scalar s = detail::inverse_root_mean_square<Arch, Scalar>(x, width, epsilon);
  simd::for_each_pack<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    (P::load(weight + i) * (P::load(x + i) * P(s))).store(y + i);
  });
}

/// With u = weight ∘ d_y: d_x = s (u − x · s² ⟨u ∘ x⟩), d_weight += d_y ∘ x · s.
///
/// d_x is assigned and may equal d_y or x; a null d_x or d_weight is not wanted.
template <class Arch = simd::Native, class Scalar>
void rms_norm_row_backward(const Scalar* x, const Scalar* weight, Index width, std::type_identity_t<Scalar> epsilon,
                           const Scalar* d_y, std::type_identity_t<Scalar>* d_x,
                           std::type_identity_t<Scalar>* d_weight) {
  const Scalar s = detail::inverse_root_mean_square<Arch, Scalar>(x, width, epsilon);
  const Scalar sum = simd::sum_packs<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P d = P::load(d_y + i), normalized = P::load(x + i) * P(s);
    if (d_weight != nullptr) simd::fma(d, normalized, P::load(d_weight + i)).store(d_weight + i);
    return P::load(weight + i) * d * normalized;
  });
  if (d_x == nullptr) return;
  const Scalar projection = sum / static_cast<Scalar>(width);
  simd::for_each_pack<Scalar, Arch>(width, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    const P u = P::load(weight + i) * P::load(d_y + i);
    (P(s) * simd::fma(P::load(x + i) * P(s), P(-projection), u)).store(d_x + i);
  });
}

/// `rms_norm_row` on every row of x [N × C]; y may equal x.
template <class Arch = simd::Native, class Scalar>
void rms_norm(MatrixView<const std::type_identity_t<Scalar>> x, VectorView<const std::type_identity_t<Scalar>> weight,
              std::type_identity_t<Scalar> epsilon, MatrixView<Scalar> y) {
  for (Index r = 0; r < x.rows(); ++r) rms_norm_row<Arch>(x.row(r), weight.data(), x.columns(), epsilon, y.row(r));
}

/// `rms_norm_row_backward` on every row of x [N × C], in order; empty outputs are not wanted.
template <class Arch = simd::Native, class Scalar>
void rms_norm_backward(MatrixView<const std::type_identity_t<Scalar>> x,
                       VectorView<const std::type_identity_t<Scalar>> weight, std::type_identity_t<Scalar> epsilon,
                       MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_x,
                       VectorView<std::type_identity_t<Scalar>> d_weight) {
  for (Index r = 0; r < x.rows(); ++r)
    rms_norm_row_backward<Arch>(x.row(r), weight.data(), x.columns(), epsilon, d_y.row(r),
                                d_x.empty() ? nullptr : d_x.row(r), d_weight.data());
}

}  // namespace kernels

TTT_NAMESPACE_END
