// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/parameters.hpp"
#include "ttt/nn/affine.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// A linear map through a few numbers: A [R × in], B [out × R] and, if there is one, b [out]. Of rank 0 it is a plain
/// map W [out × in], which `first` is then.
template <class Element>
struct LowRankParameters {
  using Scalar = Element;

  Tensor<Scalar> first, second, bias;

  LowRankParameters() = default;
  LowRankParameters(Index inputs, Index outputs, Index rank, bool has_bias)
      : first(make_weight<Scalar>(rank > 0 ? rank : outputs, inputs)) {
    if (rank == 0) return;
    second = make_weight<Scalar>(outputs, rank);
    if (has_bias) bias = Tensor<Scalar>(Shape{outputs});
  }

  bool is_plain() const { return second.shape().rank() == 0; }

  void visit(ParameterVisitor<Scalar> visitor) {
    if (is_plain()) return visitor("weight", first, parameter::projection);
    visitor("0.weight", first, parameter::projection);
    visitor("1.weight", second, parameter::projection);
    if (bias.shape().rank() > 0) visitor("1.bias", bias, parameter::zero);
  }
};

/// x Aᵀ [N × R] and y [N × out], the same rows of a plain map; or their gradients.
template <class Scalar>
struct LowRankRows {
  MatrixView<Scalar> narrow, out;

  LowRankRows() = default;
  LowRankRows(Index rows, Index outputs, Index rank, Arena& memory)
      : narrow(memory.matrix<Scalar>(rows, rank > 0 ? rank : outputs)),
        out(rank > 0 ? memory.matrix<Scalar>(rows, outputs) : narrow) {}

  LowRankRows rows(Index first, Index count) const {
    LowRankRows part;
    if (!out.empty()) part.narrow = narrow.rows(first, count), part.out = out.rows(first, count);
    return part;
  }
};

/// y = (x Aᵀ) Bᵀ + b, or x Wᵀ: x [N × in]. Both of `rows` are assigned and overlap nothing else.
template <class Scalar>
void low_rank_forward(const LowRankParameters<Scalar>& map, MatrixView<const std::type_identity_t<Scalar>> x,
                      const LowRankRows<std::type_identity_t<Scalar>>& rows, Context& context) {
  linear_forward<Scalar>(map.first, x, rows.narrow, context);
  if (!map.is_plain()) affine_forward<Scalar>(map.second, map.bias, rows.narrow, rows.out, context);
}

/// Backward of `low_rank_forward` up to x Aᵀ: from d.out assigns d.narrow, which the backward of `first` goes on from
/// (`gradients.first` is left to it, and to the other maps of x: see projections.hpp); those of B and b accumulate,
/// unbound ones are not wanted. Nothing is left to do in a plain map.
template <class Scalar>
void low_rank_backward(const LowRankParameters<Scalar>& map, const LowRankRows<std::type_identity_t<Scalar>>& rows,
                       const LowRankRows<std::type_identity_t<Scalar>>& d, LowRankParameters<Scalar>& gradients,
                       Context& context) {
  if (map.is_plain()) return;
  bias_backward<Scalar>(d.out, gradients.bias, context);
  linear_backward<Scalar>(map.second, rows.narrow, d.out, d.narrow, gradients.second, context);
}

}  // namespace nn

TTT_NAMESPACE_END
