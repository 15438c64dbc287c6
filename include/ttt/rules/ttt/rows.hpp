// SPDX-License-Identifier: MIT
/// @file
/// Sums, copies and products of a few short rows that lie in the cache, all of the same width.
#pragma once

#include "ttt/core/view.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// sum += Σ_r z[r].
template <class Arch, class Scalar>
void add_column_sums(MatrixView<const Scalar> z, MatrixView<Scalar> sum) {
  for (Index r = 0; r < z.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(z.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P::load(sum.data() + c) + P::load(z.row(r) + c)).store(sum.data() + c);
    });
}

/// y += factor · x.
template <class Arch, class Scalar>
void add_scaled(Scalar factor, const Scalar* x, Index count, Scalar* y) {
  simd::for_each_pack<Scalar, Arch>(count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
    simd::fma(P(factor), P::load(x + c), P::load(y + c)).store(y + c);
  });
}

/// y += x, both [n × C].
template <class Arch, class Scalar>
void add_rows(MatrixView<const Scalar> x, MatrixView<Scalar> y) {
  for (Index r = 0; r < x.rows(); ++r) add_scaled<Arch>(Scalar(1), x.row(r), x.columns(), y.row(r));
}

/// Σ a ∘ b.
template <class Arch, class Scalar>
Scalar dot(const Scalar* a, const Scalar* b, Index count) {
  return simd::sum_packs<Scalar, Arch>(
      count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { return P::load(a + c) * P::load(b + c); });
}

/// product = a ∘ b, element by element; may be in place.
template <class Arch, class Scalar>
void multiply_rows(MatrixView<const Scalar> a, MatrixView<const Scalar> b, MatrixView<Scalar> product) {
  for (Index r = 0; r < a.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(a.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P::load(a.row(r) + c) * P::load(b.row(r) + c)).store(product.row(r) + c);
    });
}

/// sum += a ∘ b, element by element.
template <class Arch, class Scalar>
void multiply_add_rows(MatrixView<const Scalar> a, MatrixView<const Scalar> b, MatrixView<Scalar> sum) {
  for (Index r = 0; r < a.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(a.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      simd::fma(P::load(a.row(r) + c), P::load(b.row(r) + c), P::load(sum.row(r) + c)).store(sum.row(r) + c);
    });
}

/// to = x, both [n × C].
template <class Arch, class Scalar>
void copy_rows(MatrixView<const Scalar> x, MatrixView<Scalar> to) {
  for (Index r = 0; r < x.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(
        x.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { P::load(x.row(r) + c).store(to.row(r) + c); });
}

}  // namespace rules

TTT_NAMESPACE_END
