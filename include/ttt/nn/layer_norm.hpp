// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/core/tensor.hpp"
#include "ttt/kernels/layer_norm.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = weight ∘ x̂ + bias on every row: weight, bias [C], x, y [N × C]. y is assigned and may equal x.
template <class Scalar>
void layer_norm_forward(const Tensor<Scalar>& weight, const Tensor<Scalar>& bias,
                        MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                        MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  context.parallel_ranges(x.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    context.call<KernelId::layer_norm, Scalar, &kernels::layer_norm<simd::Native, Scalar>>(
        x.rows(first, count), weight.vector(), bias.vector(), static_cast<Scalar>(epsilon), y.rows(first, count));
  });
}

/// Backward of `layer_norm_forward`. d_x is assigned or accumulated as `output` says and may equal d_y when assigned;
/// d_weight and d_bias accumulate. An empty d_x and unbound gradients are not wanted.
template <class Scalar>
void layer_norm_backward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                         MatrixView<const std::type_identity_t<Scalar>> d_y,
                         MatrixView<std::type_identity_t<Scalar>> d_x, Tensor<Scalar>& d_weight, Tensor<Scalar>& d_bias,
                         Context& context, kernels::Output output = kernels::Output::assign) {
  const bool accumulate = output == kernels::Output::accumulate;
  const Index width = x.columns();
  const Arena::Frame frame(context.scratch());
  const auto both = context.scratch().template zeros<Scalar>(2, width);  // go on from what the gradients hold
  Tensor<Scalar>* const gradients[] = {&d_weight, &d_bias};
  for (Index i = 0; i < 2; ++i)
    if (!gradients[i]->empty()) std::copy_n(gradients[i]->data(), width, both.row(i));
  detail::sum_over_rows(
      x.rows(), VectorView<Scalar>(both.data(), 2 * width), context,
      [&](Index first, Index count, VectorView<Scalar> sums, Arena& arena) {
        detail::write_rows(first, count, d_x, accumulate, arena, [&](Scalar* d_row, Index r) {
          context
              .call<KernelId::layer_norm_row_backward, Scalar, &kernels::layer_norm_row_backward<simd::Native, Scalar>>(
                  x.row(r), weight.data(), width, static_cast<Scalar>(epsilon), d_y.row(r), d_row,
                  d_weight.empty() ? nullptr : sums.data(), d_bias.empty() ? nullptr : sums.data() + width);
        });
      });
  for (Index i = 0; i < 2; ++i)
    if (!gradients[i]->empty()) std::copy_n(both.row(i), width, gradients[i]->data());
}

}  // namespace nn

TTT_NAMESPACE_END
