// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/context.hpp"
#include "ttt/kernels/scale_heads.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// y_h = r_h x_{h / G} on every row (kernels/scale_heads.hpp): r [N × H], x [N × H_k · W], y [N × H · W], assigned.
template <class Scalar>
void scale_heads(MatrixView<const std::type_identity_t<Scalar>> rates, MatrixView<const std::type_identity_t<Scalar>> x,
                 MatrixView<Scalar> y, Context& context) {
  context.call<KernelId::scale_heads, Scalar, &kernels::scale_heads<simd::Native, Scalar>>(rates, x, y);
}

/// y = f x, one factor f for all: x, y [N × C]. y is assigned and may equal x.
template <class Scalar>
void scale(double factor, MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y, Context& context) {
  const auto rate = static_cast<Scalar>(factor);
  scale_heads<Scalar>({&rate, 1, 1}, x, y, context);
}

/// Its backward: d_r and d_x accumulate; an empty d_r is not wanted.
template <class Scalar>
void scale_heads_backward(MatrixView<const std::type_identity_t<Scalar>> rates,
                          MatrixView<const std::type_identity_t<Scalar>> x,
                          MatrixView<const std::type_identity_t<Scalar>> d_y,
                          MatrixView<std::type_identity_t<Scalar>> d_rates, MatrixView<Scalar> d_x, Context& context) {
  context.call<KernelId::scale_heads_backward, Scalar, &kernels::scale_heads_backward<simd::Native, Scalar>>(
      rates, x, d_y, d_rates, d_x);
}

/// y_{h / G} += x_h: what the heads of a group say of what they share. x [N × heads · W], y [N × heads / G · W].
template <class Scalar>
void add_heads(Index heads, MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> y, Context& context) {
  const Arena::Frame frame(context.scratch());
  const auto ones = context.scratch().template matrix<Scalar>(1, heads);
  fill(ones, Scalar(1));
  scale_heads_backward<Scalar>(ones, y, x, {}, y, context);
}

/// y_h += f_h x_h, one factor f [H] for all rows.
template <class Scalar>
void add_scaled_heads(const Tensor<Scalar>& factors, MatrixView<const std::type_identity_t<Scalar>> x,
                      MatrixView<Scalar> y, Context& context) {
  const MatrixView<const Scalar> rates(factors.data(), 1, factors.size());
  context.call<KernelId::add_scaled_heads, Scalar, &kernels::add_scaled_heads<simd::Native, Scalar>>(rates, x, y);
}

/// Its backward: d_x and d_f accumulate, the latter over the rows in order; an unbound d_f is not wanted.
template <class Scalar>
void add_scaled_heads_backward(const Tensor<Scalar>& factors, MatrixView<const std::type_identity_t<Scalar>> x,
                               MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<Scalar> d_x,
                               Tensor<Scalar>& d_factors, Context& context) {
  const MatrixView<const Scalar> rates(factors.data(), 1, factors.size());
  detail::sum_gradients<Scalar, 1>(
      x.rows(), {&d_factors}, context, [&](Index first, Index count, const auto& sums, Arena&) {
        const auto d_rates = sums[0] ? MatrixView<Scalar>(sums[0], 1, factors.size()) : MatrixView<Scalar>();
        scale_heads_backward<Scalar>(rates, x.rows(first, count), d_y.rows(first, count), d_rates,
                                     d_x.rows(first, count), context);
      });
}

}  // namespace nn

TTT_NAMESPACE_END
