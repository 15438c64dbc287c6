// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/core/context.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y += x, both [N × C]: what a residual branch does. x may equal y.
template <class Scalar>
void add(MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y, Context& context) {
  constexpr Index rows_per_task = 64;
  TTT_ASSERT(x.rows() == y.rows() && x.columns() == y.columns(), "a sum needs equal shapes");
  context.parallel_ranges(y.rows(), rows_per_task, [&](Index first, Index count, Arena&) {
    for (Index r = first; r < first + count; ++r)
      simd::for_each_pack<Scalar, simd::Native>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
        (P::load(y.row(r) + c) + P::load(x.row(r) + c)).store(y.row(r) + c);
      });
  });
}

}  // namespace nn

TTT_NAMESPACE_END
