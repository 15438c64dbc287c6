// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/nn/norm.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = weight ∘ x̂ + bias on every row: weight, bias [C], x, y [N × C]. y is assigned and may equal x.
template <class Scalar>
void layer_norm_forward(const Tensor<Scalar>& weight, const Tensor<Scalar>& bias,
                        MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                        MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  detail::norm_forward<Scalar>({NormKind::layer, weight.vector(), bias.vector(), weight.size(), epsilon}, x, y,
                               context);
}

/// Backward of `layer_norm_forward`. d_x is assigned or accumulated as `output` says and may equal d_y when assigned;
/// d_weight and d_bias accumulate. An empty d_x and unbound gradients are not wanted.
template <class Scalar>
void layer_norm_backward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                         MatrixView<const std::type_identity_t<Scalar>> d_y,
                         MatrixView<std::type_identity_t<Scalar>> d_x, Tensor<Scalar>& d_weight, Tensor<Scalar>& d_bias,
                         Context& context, kernels::Output output = kernels::Output::assign) {
  detail::norm_backward<Scalar>({NormKind::layer, weight.vector(), {}, weight.size(), epsilon}, x, d_y, d_x, d_weight,
                                d_bias, context, output);
}

}  // namespace nn

TTT_NAMESPACE_END
