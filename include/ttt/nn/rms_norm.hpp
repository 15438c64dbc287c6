// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/tensor.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/rms_norm.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = weight ∘ x / √(⟨x²⟩ + ε) on every row: weight [C], x, y [N × C]. y is assigned and may equal x.
template <class Scalar>
void rms_norm_forward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                      MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  context.parallel_ranges(x.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    context.call<KernelId::rms_norm, Scalar, &kernels::rms_norm<simd::Native, Scalar>>(
        x.rows(first, count), weight.vector(), static_cast<Scalar>(epsilon), y.rows(first, count));
  });
}

/// Backward of `rms_norm_forward`. d_x is assigned or accumulated as `output` says and may equal d_y when assigned;
/// d_weight accumulates. An empty d_x and an unbound d_weight are not wanted.
template <class Scalar>
void rms_norm_backward(const Tensor<Scalar>& weight, MatrixView<const std::type_identity_t<Scalar>> x, double epsilon,
                       MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<std::type_identity_t<Scalar>> d_x,
                       Tensor<Scalar>& d_weight, Context& context, kernels::Output output = kernels::Output::assign) {
  const bool accumulate = output == kernels::Output::accumulate;
  detail::sum_over_rows(
      x.rows(), d_weight.vector(), context, [&](Index first, Index count, VectorView<Scalar> sums, Arena& arena) {
        detail::write_rows(first, count, d_x, accumulate, arena, [&](Scalar* d_row, Index r) {
          context.call<KernelId::rms_norm_row_backward, Scalar, &kernels::rms_norm_row_backward<simd::Native, Scalar>>(
              x.row(r), weight.data(), x.columns(), static_cast<Scalar>(epsilon), d_y.row(r), d_row,
              d_weight.empty() ? nullptr : sums.data());
        });
      });
}

}  // namespace nn

TTT_NAMESPACE_END
