// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/decay.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// A [H] and bias [C] of the step widths and decays of a recurrence, as Mamba-2 names them. C is H, or a multiple of it
/// where every channel of a head decays by itself (KDA).
template <class Element>
struct DecayParameters {
  using Scalar = Element;

  Tensor<Scalar> log_rate, bias;

  DecayParameters() = default;
  DecayParameters(Index heads, Index columns) : log_rate(Shape{heads}), bias(Shape{columns}) {}

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("A_log", log_rate, parameter::log_rate);
    visitor("dt_bias", bias, parameter::step_bias);
  }
};

/// Δ = clamp(softplus(a + bias), limits), g = −exp(A) ∘ Δ: a, Δ, g [N × C]. Both are assigned; an empty one is not
/// wanted, and either may be a.
template <class Scalar>
void decay_forward(const DecayParameters<Scalar>& parameters, MatrixView<const std::type_identity_t<Scalar>> a,
                   const kernels::StepLimits<std::type_identity_t<Scalar>>& limits,
                   MatrixView<std::type_identity_t<Scalar>> steps, MatrixView<std::type_identity_t<Scalar>> decay,
                   Context& context) {
  context.parallel_ranges(a.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    const auto part = [&](auto view) { return view.empty() ? view : view.rows(first, count); };
    context.call<KernelId::decay_rows, Scalar, &kernels::decay_rows<simd::Native, Scalar>>(
        part(a), parameters.bias.vector(), parameters.log_rate.vector(), limits, part(steps), part(decay));
  });
}

/// Backward of `decay_forward` for the gradients of Δ and g, of which an empty one is zero. d_a is assigned and may be
/// one of them; `gradients` accumulate, unbound ones are not wanted.
template <class Scalar>
void decay_backward(const DecayParameters<Scalar>& parameters, MatrixView<const std::type_identity_t<Scalar>> a,
                    const kernels::StepLimits<std::type_identity_t<Scalar>>& limits,
                    MatrixView<const std::type_identity_t<Scalar>> d_steps,
                    MatrixView<const std::type_identity_t<Scalar>> d_decay,
                    MatrixView<std::type_identity_t<Scalar>> d_a, DecayParameters<Scalar>& gradients,
                    Context& context) {
  detail::sum_gradients<Scalar, 2>(
      a.rows(), {&gradients.bias, &gradients.log_rate}, context,
      [&](Index first, Index count, const auto& sums, Arena&) {
        const auto part = [&](auto view) { return view.empty() ? view : view.rows(first, count); };
        context.call<KernelId::decay_rows_backward, Scalar, &kernels::decay_rows_backward<simd::Native, Scalar>>(
            part(a), parameters.bias.vector(), parameters.log_rate.vector(), limits, part(d_steps), part(d_decay),
            part(d_a), VectorView<Scalar>(sums[0], a.columns()),
            VectorView<Scalar>(sums[1], parameters.log_rate.size()));
      });
}

}  // namespace nn

TTT_NAMESPACE_END
