// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/swiglu.hpp"
#include "ttt/nn/linear.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Weights of y = W_down (silu(W_gate x) ∘ W_up x), named as llama names them.
template <class Element>
struct SwigluParameters {
  using Scalar = Element;

  Tensor<Scalar> gate_proj, up_proj, down_proj;

  SwigluParameters() = default;
  SwigluParameters(Index width, Index hidden)
      : gate_proj(make_weight<Scalar>(hidden, width)),
        up_proj(make_weight<Scalar>(hidden, width)),
        down_proj(make_weight<Scalar>(width, hidden)) {}

  Index width() const { return gate_proj.shape()[1]; }
  Index hidden() const { return gate_proj.shape()[0]; }

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("gate_proj.weight", gate_proj, parameter::projection);
    visitor("up_proj.weight", up_proj, parameter::projection);
    visitor("down_proj.weight", down_proj, parameter::projection);
  }
};

/// What a backward needs of a forward over N rows: the pre-activations [N × F], in an arena of the caller.
template <class Scalar>
struct SwigluRecord {
  MatrixView<Scalar> gate, up;

  SwigluRecord() = default;
  SwigluRecord(Arena& arena, Index rows, Index hidden)
      : gate(arena.matrix<Scalar>(rows, hidden)), up(arena.matrix<Scalar>(rows, hidden)) {}
};

namespace detail {

/// Rows per task of element-wise work on hidden units.
inline constexpr Index swiglu_grain = 16;

}  // namespace detail

/// y = W_down (silu(W_gate x) ∘ W_up x): x, y [N × C]. y is assigned and may equal x. A record, made for N rows, is
/// filled unless it is null.
template <class Scalar>
void swiglu_forward(const SwigluParameters<Scalar>& parameters, MatrixView<const std::type_identity_t<Scalar>> x,
                    MatrixView<std::type_identity_t<Scalar>> y, Context& context,
                    std::type_identity_t<SwigluRecord<Scalar>>* record = nullptr) {
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const SwigluRecord<Scalar> values = record ? *record : SwigluRecord<Scalar>(scratch, x.rows(), parameters.hidden());
  const auto h = record ? scratch.matrix<Scalar>(x.rows(), parameters.hidden()) : values.gate;
  linear_forward(parameters.gate_proj, x, values.gate, context);
  linear_forward(parameters.up_proj, x, values.up, context);
  context.parallel_ranges(x.rows(), detail::swiglu_grain, [&](Index first, Index count, Arena&) {
    context.call<KernelId::swiglu, Scalar, &kernels::swiglu<simd::Native, Scalar>>(
        values.gate.rows(first, count), values.up.rows(first, count), h.rows(first, count));
  });
  linear_forward(parameters.down_proj, h, y, context);
}

/// Backward of the `swiglu_forward` that filled `record`. d_x is assigned and may equal d_y; `gradients` accumulate. An
/// empty d_x and unbound gradients are not wanted.
template <class Scalar>
void swiglu_backward(const SwigluParameters<Scalar>& parameters, const SwigluRecord<Scalar>& record,
                     MatrixView<const std::type_identity_t<Scalar>> x,
                     MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<std::type_identity_t<Scalar>> d_x,
                     SwigluParameters<Scalar>& gradients, Context& context) {
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const auto h = scratch.matrix<Scalar>(x.rows(), parameters.hidden());
  const auto d_gate = scratch.matrix<Scalar>(x.rows(), parameters.hidden());
  const auto d_up = scratch.matrix<Scalar>(x.rows(), parameters.hidden());
  context.parallel_ranges(x.rows(), detail::swiglu_grain, [&](Index first, Index count, Arena&) {
    context.call<KernelId::swiglu, Scalar, &kernels::swiglu<simd::Native, Scalar>>(
        record.gate.rows(first, count), record.up.rows(first, count), h.rows(first, count));
  });
  linear_backward(parameters.down_proj, h, d_y, d_gate, gradients.down_proj, context);  // d_gate holds d_h
  context.parallel_ranges(x.rows(), detail::swiglu_grain, [&](Index first, Index count, Arena&) {
    context.call<KernelId::swiglu_backward, Scalar, &kernels::swiglu_backward<simd::Native, Scalar>>(
        record.gate.rows(first, count), record.up.rows(first, count), d_gate.rows(first, count),
        d_gate.rows(first, count), d_up.rows(first, count));
  });
  linear_backward(parameters.gate_proj, x, d_gate, d_x, gradients.gate_proj, context);
  linear_backward(parameters.up_proj, x, d_up, d_x, gradients.up_proj, context, kernels::Output::accumulate);
}

}  // namespace nn

TTT_NAMESPACE_END
