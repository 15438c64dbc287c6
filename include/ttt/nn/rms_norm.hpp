// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/nn/norm.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = weight ∘ x / √(⟨x²⟩ + ε) on every row, or on every K columns of it where the weight has K elements: weight [C]
/// or [K], x, y [N × C]. y is assigned and may equal x.
template <class Scalar>
void rms_norm_forward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                      MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  detail::norm_forward<Scalar>({NormKind::rms, weight, weight, weight.size(), epsilon}, x, y, context);
}

/// Backward of `rms_norm_forward`. d_x is assigned or accumulated as `output` says and may equal d_y when assigned;
/// d_weight accumulates. An empty d_x and an unbound d_weight are not wanted.
template <class Scalar>
void rms_norm_backward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                       MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<std::type_identity_t<Scalar>> d_x,
                       Tensor<Scalar>& d_weight, Context& context, kernels::Output output = kernels::Output::assign) {
  Tensor<Scalar> no_bias;
  detail::norm_backward<Scalar>({NormKind::rms, weight, weight, weight.size(), epsilon}, x, d_y, d_x, d_weight, no_bias,
                                context, output);
}

}  // namespace nn

TTT_NAMESPACE_END
