// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/ttt/fast_linear.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The primal form of a FastLinear: the running sum of η_s keys_sᵀ g_s and the weights after each token, spelled out.
template <class Scalar>
struct FastPrimal {
  FastLinear<Scalar> map;  ///< the state, at the mini-batch's start
  FastLinear<Scalar> sum;  ///< Σ η_s ∇_s of W and b
  FastLinear<Scalar> now;  ///< W(r) and b(r)

  FastPrimal(const FastLinear<Scalar>& state, Arena& scratch) : map(state), sum(state), now(state) {
    const Index inputs = map.weight.rows(), outputs = map.weight.columns();
    sum.weight = scratch.zeros<Scalar>(inputs, outputs);
    sum.bias = scratch.zeros<Scalar>(1, outputs);
    now.weight = scratch.matrix<Scalar>(inputs, outputs);
    now.bias = scratch.matrix<Scalar>(1, outputs);
  }

  /// sum += η_s (keys_sᵀ g_s, g_s).
  template <class Arch>
  void add_gradient(Index s, Scalar rate) {
    const Scalar* gradient = map.gradients.row(s);
    for (Index i = 0; i < sum.weight.rows(); ++i)
      kernels::add_scaled<Arch>(rate * map.keys(s, i), gradient, sum.weight.columns(), sum.weight.row(i));
    kernels::add_scaled<Arch>(rate, gradient, sum.bias.columns(), sum.bias.data());
  }
  /// now = start − τ · sum.
  template <class Arch>
  void update(Scalar factor) {
    copy(map.weight, now.weight);
    copy(map.bias, now.bias);
    kernels::add_scaled<Arch>(-factor, sum.weight.data(), sum.weight.rows() * sum.weight.columns(), now.weight.data());
    kernels::add_scaled<Arch>(-factor, sum.bias.data(), sum.bias.columns(), now.bias.data());
  }
  /// The weights that answer token r once it is learned.
  template <class Arch>
  const FastLinear<Scalar>& answering(const InnerRates<Scalar>& rates, Index r) {
    update<Arch>(rates.factor[r]);
    return rates.inclusive ? now : map;
  }
  /// The state's weights become those of the last update.
  void keep() {
    copy(now.weight, map.weight);
    copy(now.bias, map.bias);
  }
};

}  // namespace rules

TTT_NAMESPACE_END
