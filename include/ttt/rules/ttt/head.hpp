// SPDX-License-Identifier: MIT
/// @file
/// What one head of a TTT layer hands to its rule.
#pragma once

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/layer_norm/rows.hpp"
#include "ttt/rules/ttt/fast_linear.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What all tokens of a head share. Every inner model ends in its norm, f(x) = x + LN(z(x)), and learns from the loss
/// ½‖f(k) − v‖² = ½‖LN(z) − (v − k)‖² (TTT paper, section 2.7).
template <class Scalar>
struct TttHead {
  kernels::NormRows<Scalar> norm;
  VectorView<const Scalar> factors;  ///< τ [K], position factors, clamped at 0
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
  MatrixView<Scalar> queries;  ///< [n × D]
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
  MatrixView<Scalar> queries;  ///< with the weights after their own tokens

  TttPreNorm part(Index first, Index count) const { return {keys.rows(first, count), queries.rows(first, count)}; }
};

/// One learned tensor W₀ of a rule: its published name and shape for H heads.
struct FastWeight {
  const char* name;
  Shape shape;
  ParameterInfo info;
};

}  // namespace rules

TTT_NAMESPACE_END
