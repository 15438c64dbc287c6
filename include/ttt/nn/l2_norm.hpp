// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/context.hpp"
#include "ttt/kernels/l2_norm.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = scale · x / √(Σ x² + ε) over every `width` columns of every row, the queries or keys of a head: x, y [N × C]. y
/// is assigned and may equal x.
template <class Scalar>
void l2_norm_forward(MatrixView<const std::type_identity_t<Scalar>> x, Index width, double epsilon, double scale,
                     MatrixView<Scalar> y, Context& context) {
  context.parallel_ranges(x.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    context.call<KernelId::l2_norm, Scalar, &kernels::l2_norm<simd::Native, Scalar>>(
        x.rows(first, count), width, static_cast<Scalar>(epsilon), static_cast<Scalar>(scale), y.rows(first, count));
  });
}

/// Backward of `l2_norm_forward`. d_x is assigned and may equal d_y or x.
template <class Scalar>
void l2_norm_backward(MatrixView<const std::type_identity_t<Scalar>> x, Index width, double epsilon, double scale,
                      MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_x, Context& context) {
  context.parallel_ranges(x.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    context.call<KernelId::l2_norm_backward, Scalar, &kernels::l2_norm_backward<simd::Native, Scalar>>(
        x.rows(first, count), width, static_cast<Scalar>(epsilon), static_cast<Scalar>(scale), d_y.rows(first, count),
        d_x.rows(first, count));
  });
}

}  // namespace nn

TTT_NAMESPACE_END
