// SPDX-License-Identifier: MIT
/// @file
/// Sums, products and copies of rows, element by element. All views of a call have the same shape unless stated;
/// results may be in the place of an argument.
#pragma once

#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// y = factor · x, of `count` numbers.
template <class Arch = simd::Native, class Scalar>
TTT_INLINE void scale(std::type_identity_t<Scalar> factor, const std::type_identity_t<Scalar>* x, Index count,
                      Scalar* y) {
  simd::for_each_pack<Scalar, Arch>(
      count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { (P(factor) * P::load(x + c)).store(y + c); });
}

/// y += factor · x, of `count` numbers.
template <class Arch = simd::Native, class Scalar>
void add_scaled(Scalar factor, const std::type_identity_t<Scalar>* x, Index count, Scalar* y) {
  simd::for_each_pack<Scalar, Arch>(count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
    simd::fma(P(factor), P::load(x + c), P::load(y + c)).store(y + c);
  });
}

/// Σ a ∘ b, of `count` numbers.
template <class Arch = simd::Native, class Scalar>
Scalar dot(const Scalar* a, const std::type_identity_t<Scalar>* b, Index count) {
  return simd::sum_packs<Scalar, Arch>(
      count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { return P::load(a + c) * P::load(b + c); });
}

/// y += x, both [N × C].
template <class Arch = simd::Native, class Scalar>
void add_rows(MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y) {
  TTT_ASSERT(x.rows() == y.rows() && x.columns() == y.columns(), "a sum needs equal shapes");
  for (Index r = 0; r < x.rows(); ++r) add_scaled<Arch>(Scalar(1), x.row(r), x.columns(), y.row(r));
}

/// sum [1 × C] += Σ_r z[r].
template <class Arch = simd::Native, class Scalar>
void add_column_sums(MatrixView<const std::type_identity_t<Scalar>> z, MatrixView<Scalar> sum) {
  for (Index r = 0; r < z.rows(); ++r) add_scaled<Arch>(Scalar(1), z.row(r), z.columns(), sum.data());
}

/// product = a ∘ b.
template <class Arch = simd::Native, class Scalar>
void multiply_rows(MatrixView<const std::type_identity_t<Scalar>> a, MatrixView<const std::type_identity_t<Scalar>> b,
                   MatrixView<Scalar> product) {
  for (Index r = 0; r < a.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(a.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P::load(a.row(r) + c) * P::load(b.row(r) + c)).store(product.row(r) + c);
    });
}

/// sum += a ∘ b.
template <class Arch = simd::Native, class Scalar>
void multiply_add_rows(MatrixView<const std::type_identity_t<Scalar>> a,
                       MatrixView<const std::type_identity_t<Scalar>> b, MatrixView<Scalar> sum) {
  for (Index r = 0; r < a.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(a.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      simd::fma(P::load(a.row(r) + c), P::load(b.row(r) + c), P::load(sum.row(r) + c)).store(sum.row(r) + c);
    });
}

/// to = x.
template <class Arch = simd::Native, class Scalar>
void copy_rows(MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> to) {
  for (Index r = 0; r < x.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(
        x.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { P::load(x.row(r) + c).store(to.row(r) + c); });
}

}  // namespace kernels

TTT_NAMESPACE_END
