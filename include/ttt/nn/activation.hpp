// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/context.hpp"
#include "ttt/kernels/activation.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = f(x), both [N × C]; β = σ(x) of the delta rules, for example. y is assigned and may equal x.
template <class Scalar>
void activation_forward(kernels::Activation activation, MatrixView<const std::type_identity_t<Scalar>> x,
                        MatrixView<Scalar> y, Context& context) {
  context.parallel_ranges(x.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    context.call<KernelId::activate_rows, Scalar, &kernels::activate_rows<simd::Native, Scalar>>(
        activation, x.rows(first, count), y.rows(first, count));
  });
}

/// Backward of `activation_forward`: d_x = d_y ∘ f′(x). d_x is assigned and may equal d_y or x.
template <class Scalar>
void activation_backward(kernels::Activation activation, MatrixView<const std::type_identity_t<Scalar>> x,
                         MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_x, Context& context) {
  context.parallel_ranges(x.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    context.call<KernelId::activate_rows_backward, Scalar, &kernels::activate_rows_backward<simd::Native, Scalar>>(
        activation, x.rows(first, count), d_y.rows(first, count), d_x.rows(first, count));
  });
}

}  // namespace nn

TTT_NAMESPACE_END
