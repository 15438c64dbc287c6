// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/core/parameters.hpp"
#include "ttt/nn/norm.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// What an RMS norm has besides its weight.
struct RmsNormConfig {
  double epsilon;
  bool one_plus = false;  ///< it is times 1 + weight, as in Gemma and Qwen3-Next

  RmsNormConfig(double given_epsilon, bool is_one_plus = false) : epsilon(given_epsilon), one_plus(is_one_plus) {}

  /// How the weight begins: as a norm that is times 1.
  ParameterInfo start() const { return one_plus ? parameter::zero : parameter::one; }
};

namespace detail {

/// What x / √(⟨x²⟩ + ε) is times: the weight, or 1 + weight in scratch.
template <class Scalar>
VectorView<const Scalar> scale_of(const Tensor<Scalar>& weight, const RmsNormConfig& config, Arena& scratch) {
  const VectorView<const Scalar> given = weight.vector();
  if (!config.one_plus) return given;
  const auto scale = scratch.vector<Scalar>(given.size());
  std::transform(given.begin(), given.end(), scale.begin(), [](Scalar w) { return 1 + w; });
  return scale;
}

}  // namespace detail

/// y = scale ∘ x / √(⟨x²⟩ + ε) on every row, or on every K columns of it where the weight has K elements: weight [C]
/// or [K], x, y [N × C]; scale is the weight, or 1 + weight. y is assigned and may equal x.
template <class Scalar>
void rms_norm_forward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x,
                      const RmsNormConfig& config, MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  const Arena::Frame frame(context.scratch());
  const auto scale = detail::scale_of(weight, config, context.scratch());
  detail::norm_forward<Scalar>({NormKind::rms, scale, {}, scale.size(), config.epsilon}, x, y, context);
}

/// Backward of `rms_norm_forward`. d_x is assigned or accumulated as `output` says and may equal d_y when assigned;
/// d_weight accumulates. An empty d_x and an unbound d_weight are not wanted.
template <class Scalar>
void rms_norm_backward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x,
                       const RmsNormConfig& config, MatrixView<const std::type_identity_t<Scalar>> d_y,
                       MatrixView<std::type_identity_t<Scalar>> d_x, Tensor<Scalar>& d_weight, Context& context,
                       kernels::Output output = kernels::Output::assign) {
  const Arena::Frame frame(context.scratch());
  const auto scale = detail::scale_of(weight, config, context.scratch());
  Tensor<Scalar> no_bias;
  detail::norm_backward<Scalar>({NormKind::rms, scale, {}, scale.size(), config.epsilon}, x, d_y, d_x, d_weight,
                                no_bias, context, output);
}

}  // namespace nn

TTT_NAMESPACE_END
