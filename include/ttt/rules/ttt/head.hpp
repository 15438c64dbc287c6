// SPDX-License-Identifier: MIT
/// @file
/// What one head of a TTT layer hands to its rule.
#pragma once

#include <array>
#include <string_view>

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/layer_norm/rows.hpp"
#include "ttt/rules/ttt/fast_linear.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What a rule answers to a token r, f being its inner model, W the weights that the mini-batch of r started with and
/// W(r) those after its own token.
enum class TttOrder {
  token_inclusive,  ///< f(q; W(r)), as published
  chunk_exclusive,  ///< f(q; W): the steps of a mini-batch are seen from the next one on
  simplified        ///< f(k; W), the prediction that the loss compares with v: there are no queries
};
inline constexpr std::array<std::string_view, 3> names_of(TttOrder) {
  return {"token-inclusive", "chunk-exclusive", "simplified"};
}

/// What all tokens of a head share. Every inner model ends in its norm, f(x) = x + LN(z(x)), and learns from the loss
/// ½‖f(k) − v‖² = ½‖LN(z) − (v − k)‖² (TTT paper, section 2.7).
template <class Scalar>
struct TttHead {
  kernels::NormRows<Scalar> norm;
  VectorView<const Scalar> factors;  ///< τ [K], position factors, clamped at 0
  TttOrder order = TttOrder::token_inclusive;

  /// With the η [K] of a state.
  InnerRates<Scalar> rates(VectorView<const Scalar> token) const {
    return {token, factors, order == TttOrder::token_inclusive};
  }
};

/// Gradients of what all tokens of a head share; they accumulate.
template <class Scalar>
struct TttHeadGradient {
  kernels::NormRowsGradient<Scalar> norm;
  VectorView<Scalar> factors;  ///< dτ [K]
};

/// Rows of one head: queries and keys already rotated. A gradient struct has the same rows.
template <class Scalar>
struct TttRows {
  MatrixView<Scalar> queries;  ///< [n × D], empty in the simplified order
  MatrixView<Scalar> keys;     ///< [n × D]
  MatrixView<Scalar> values;   ///< [n × D]
  VectorView<Scalar> rates;    ///< η [n]

  TttRows rows(Index first, Index count) const {
    return {
        queries.rows(first, count), keys.rows(first, count), values.rows(first, count), {rates.data() + first, count}};
  }
};

/// What the inner norm got: z of one head's keys and queries, [n × D] each. A forward leaves it for its backward.
template <class Scalar>
struct TttPreNorm {
  MatrixView<Scalar> keys;     ///< with the weights of their mini-batch's start
  MatrixView<Scalar> queries;  ///< with the weights that answer them

  TttPreNorm part(Index first, Index count) const { return {keys.rows(first, count), queries.rows(first, count)}; }
};

/// Backward of the answer k + LN(z) of the simplified order, z being that of the keys: adds to d_z and d_keys.
template <class Arch, class Scalar>
void prediction_backward(const TttHead<Scalar>& head, MatrixView<const Scalar> z, MatrixView<const Scalar> d_out,
                         MatrixView<Scalar> d_z, MatrixView<Scalar> d_keys, const TttHeadGradient<Scalar>& d_head,
                         Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto d = scratch.matrix<Scalar>(z.rows(), z.columns());
  kernels::residual_norm_rows_backward<Arch, Scalar>(head.norm, z, d_out, d, d_head.norm);
  kernels::add_rows<Arch, Scalar>(d, d_z);
  kernels::add_rows<Arch, Scalar>(d_out, d_keys);
}

/// One learned tensor W₀ of a rule: its published name and shape for H heads.
struct FastWeight {
  const char* name;
  Shape shape;
  ParameterInfo info;
};

}  // namespace rules

TTT_NAMESPACE_END
