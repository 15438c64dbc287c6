// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/kernels/rows.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y = x · Wᵀ + b: x [N × in], W [out × in] in panels, b [out], y [N × out]. Assigned; y must not overlap x. The bias
/// is what the sums begin with; one without a shape is none, which is `linear_forward`.
template <class Scalar>
void affine_forward(const Tensor<Scalar>& weight, const Tensor<Scalar>& bias,
                    MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<std::type_identity_t<Scalar>> y,
                    Context& context) {
  if (bias.shape().rank() == 0) return linear_forward(weight, x, y, context);
  context.parallel_ranges(y.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
    for (Index row = first; row < first + count; ++row) std::copy_n(bias.data(), y.columns(), y.row(row));
  });
  linear_forward(weight, x, y, context, kernels::Output::accumulate);
}

/// d_b += Σ d_y over the rows; an unbound d_b is not wanted. Rows that come in rounds (see row_pieces.hpp) give the
/// bits of all at once.
template <class Scalar>
void bias_backward(MatrixView<const std::type_identity_t<Scalar>> d_y, Tensor<Scalar>& d_bias, Context& context) {
  if (d_bias.empty()) return;
  detail::sum_over_rows(
      d_y.rows(), d_bias.vector(), context, [&](Index first, Index count, VectorView<Scalar> sums, Arena&) {
        kernels::add_column_sums<simd::Native, Scalar>(d_y.rows(first, count), {sums.data(), 1, sums.size()});
      });
}

}  // namespace nn

TTT_NAMESPACE_END
