// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/kernels/layer_norm/rows.hpp"
#include "ttt/rules/ttt/fast_linear.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The end of every TTT inner model, f(x) = x + LN(z(x)), and its loss ½‖f(k) − v‖² = ½‖LN(z) − (v − k)‖², for one head
/// (TTT paper, section 2.7; the reconstruction target of LN is v − k).
template <class Scalar>
struct InnerNorm {
  const Scalar* weight;  ///< γ [D]
  const Scalar* bias;    ///< β [D]
  Index width;           ///< D
  Scalar epsilon;
};

/// Gradients of γ and β; both accumulate.
template <class Scalar>
struct InnerNormGradient {
  Scalar* weight;
  Scalar* bias;
};

namespace detail {

/// v − k.
template <class Arch, class Scalar>
void inner_target(const Scalar* key, const Scalar* value, Index width, Scalar* target) {
  simd::for_each_pack<Scalar, Arch>(
      width, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { (P::load(value + c) - P::load(key + c)).store(target + c); });
}

}  // namespace detail

/// out = x + LN(z), row by row; all [n × D]. out must not overlap x or z.
template <class Arch, class Scalar>
void inner_output(const InnerNorm<Scalar>& norm, MatrixView<const Scalar> x, MatrixView<const Scalar> z,
                  MatrixView<Scalar> out) {
  kernels::residual_norm_rows<Arch, Scalar>({norm.weight, norm.bias, norm.epsilon}, x, z, out);
}

/// g = ∂/∂z ½‖LN(z) − (v − k)‖², row by row; all [n × D]. g must not overlap the others.
template <class Arch, class Scalar>
void inner_gradient(const InnerNorm<Scalar>& norm, MatrixView<const Scalar> z, MatrixView<const Scalar> keys,
                    MatrixView<const Scalar> values, MatrixView<Scalar> g) {
  kernels::reconstruction_gradient_rows<Arch, Scalar>({norm.weight, norm.bias, norm.epsilon}, z, keys, values, g);
}

/// Backward of `inner_gradient`: assigns d_z and d_values, subtracts the target's share from d_keys (which it reads).
template <class Arch, class Scalar>
void inner_gradient_backward(const InnerNorm<Scalar>& norm, MatrixView<const Scalar> z, MatrixView<const Scalar> keys,
                             MatrixView<const Scalar> values, MatrixView<const Scalar> d_g, MatrixView<Scalar> d_z,
                             MatrixView<Scalar> d_keys, MatrixView<Scalar> d_values,
                             const InnerNormGradient<Scalar>& d_norm) {
  kernels::reconstruction_gradient_rows_backward<Arch, Scalar>({norm.weight, norm.bias, norm.epsilon}, z, keys, values,
                                                               d_g, d_z, d_keys, d_values, d_norm.weight, d_norm.bias);
}

/// Backward of `inner_output` in z: assigns d_z (the gradient of x is d_out itself).
template <class Arch, class Scalar>
void inner_output_backward(const InnerNorm<Scalar>& norm, MatrixView<const Scalar> z, MatrixView<const Scalar> d_out,
                           MatrixView<Scalar> d_z, const InnerNormGradient<Scalar>& d_norm) {
  kernels::residual_norm_rows_backward<Arch, Scalar>({norm.weight, norm.bias, norm.epsilon}, z, d_out, d_z,
                                                     d_norm.weight, d_norm.bias);
}

/// Mean over the rows of ½‖LN(z) − (v − k)‖².
template <class Arch, class Scalar>
double inner_loss(const InnerNorm<Scalar>& norm, MatrixView<const Scalar> z, MatrixView<const Scalar> keys,
                  MatrixView<const Scalar> values, Arena& scratch) {
  const Arena::Frame frame(scratch);
  Scalar* target = scratch.allocate<Scalar>(norm.width);
  double sum = 0;
  for (Index r = 0; r < z.rows(); ++r) {
    detail::inner_target<Arch>(keys.row(r), values.row(r), norm.width, target);
    sum += static_cast<double>(
        kernels::layer_norm_l2_loss_row<Arch>(z.row(r), target, norm.weight, norm.bias, norm.width, norm.epsilon));
  }
  return sum / static_cast<double>(z.rows());
}

}  // namespace rules

TTT_NAMESPACE_END
