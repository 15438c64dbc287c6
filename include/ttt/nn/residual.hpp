// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/core/context.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/nn/scale_heads.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = x + scale · y, both [N × C]: what a residual branch does. x may be y where the scale is 1.
template <class Scalar>
void add(MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y, Context& context, double scale = 1) {
  constexpr Index rows_per_task = 64;
  context.parallel_ranges(y.rows(), rows_per_task, [&](Index first, Index count, Arena&) {
    if (scale != 1) nn::scale<Scalar>(scale, y.rows(first, count), y.rows(first, count), context);
    context.call<KernelId::add_rows, Scalar, &kernels::add_rows<simd::Native, Scalar>>(x.rows(first, count),
                                                                                       y.rows(first, count));
  });
}

}  // namespace nn

TTT_NAMESPACE_END
