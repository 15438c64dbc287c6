// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/core/context.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y += x, both [N × C]: what a residual branch does. x may be y.
template <class Scalar>
void add(MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y, Context& context) {
  constexpr Index rows_per_task = 64;
  context.parallel_ranges(y.rows(), rows_per_task, [&](Index first, Index count, Arena&) {
    context.call<KernelId::add_rows, Scalar, &kernels::add_rows<simd::Native, Scalar>>(x.rows(first, count),
                                                                                       y.rows(first, count));
  });
}

}  // namespace nn

TTT_NAMESPACE_END
