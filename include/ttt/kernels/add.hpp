// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// y += x, both [N × C]. x may be y.
template <class Arch = simd::Native, class Scalar>
void add(MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y) {
  TTT_ASSERT(x.rows() == y.rows() && x.columns() == y.columns(), "a sum needs equal shapes");
  for (Index r = 0; r < y.rows(); ++r) {
    const Scalar* const from = x.row(r);
    Scalar* const to = y.row(r);
    simd::for_each_pack<Scalar, Arch>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P::load(to + c) + P::load(from + c)).store(to + c);
    });
  }
}

}  // namespace kernels

TTT_NAMESPACE_END
