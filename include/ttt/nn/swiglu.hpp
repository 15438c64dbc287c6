// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/activation.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Weights of y = W_down (a(W_gate x) ∘ W_up x), a being silu or what is asked for, named as llama names them.
template <class Element>
struct SwigluParameters {
  using Scalar = Element;

  Tensor<Scalar> gate_proj, up_proj, down_proj;
  kernels::Activation activation = kernels::Activation::silu;

  SwigluParameters() = default;
  SwigluParameters(Index width, Index hidden, kernels::Activation of_gate = kernels::Activation::silu)
      : gate_proj(make_weight<Scalar>(hidden, width)),
        up_proj(make_weight<Scalar>(hidden, width)),
        down_proj(make_weight<Scalar>(width, hidden)),
        activation(of_gate) {}

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
      : gate(arena.aligned_rows<Scalar>(rows, hidden)), up(arena.aligned_rows<Scalar>(rows, hidden)) {}

  SwigluRecord rows(Index first, Index count) const {
    SwigluRecord part;
    part.gate = gate.rows(first, count), part.up = up.rows(first, count);
    return part;
  }
};

namespace detail {

/// Rows per task of element-wise work on hidden units.
inline constexpr Index swiglu_grain = 16;

/// h = a(gate) ∘ up.
template <class Scalar>
void swiglu_hidden(kernels::Activation activation, const SwigluRecord<Scalar>& values, MatrixView<Scalar> h,
                   Context& context) {
  context.parallel_ranges(h.rows(), swiglu_grain, [&](Index first, Index count, Arena&) {
    context.call<KernelId::gate_rows, Scalar, &kernels::gate_rows<simd::Native, Scalar>>(
        activation, values.gate.rows(first, count), values.up.rows(first, count), h.rows(first, count));
  });
}

/// Turns d_gate, which holds d_h, into the gradient of the gate, and assigns that of `up`.
template <class Scalar>
void swiglu_hidden_backward(kernels::Activation activation, const SwigluRecord<Scalar>& values,
                            MatrixView<Scalar> d_gate, MatrixView<Scalar> d_up, Context& context) {
  context.parallel_ranges(d_gate.rows(), swiglu_grain, [&](Index first, Index count, Arena&) {
    context.call<KernelId::gate_rows_backward, Scalar, &kernels::gate_rows_backward<simd::Native, Scalar>>(
        activation, values.gate.rows(first, count), values.up.rows(first, count), d_gate.rows(first, count),
        d_gate.rows(first, count), d_up.rows(first, count));
  });
}

}  // namespace detail

/// y = W_down (a(W_gate x) ∘ W_up x): x, y [N × C]. y is assigned and may equal x. A record, made for N rows, is
/// filled unless it is null.
template <class Scalar>
void swiglu_forward(const SwigluParameters<Scalar>& parameters, MatrixView<const std::type_identity_t<Scalar>> x,
                    MatrixView<std::type_identity_t<Scalar>> y, Context& context,
                    std::type_identity_t<SwigluRecord<Scalar>>* record = nullptr) {
  in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    Arena& scratch = own.scratch();
    const auto piece = x.rows(first, count);
    const auto values = record ? record->rows(first, count) : SwigluRecord<Scalar>(scratch, count, parameters.hidden());
    const auto h = record ? scratch.aligned_rows<Scalar>(count, parameters.hidden()) : values.gate;
    linear_forward(parameters.gate_proj, piece, values.gate, own);
    linear_forward(parameters.up_proj, piece, values.up, own);
    detail::swiglu_hidden(parameters.activation, values, h, own);
    linear_forward(parameters.down_proj, h, y.rows(first, count), own);
  });
}

/// What hidden units and their gradients are in the backward of a round of N rows, in an arena of the caller.
template <class Scalar>
struct SwigluHidden {
  MatrixView<Scalar> h, d_gate, d_up;  ///< [N × F]

  SwigluHidden() = default;
  SwigluHidden(Arena& arena, Index rows, Index hidden) {
    for (auto* part : {&h, &d_gate, &d_up}) *part = arena.aligned_rows<Scalar>(rows, hidden);
  }

  SwigluHidden rows(Index first, Index count) const {
    SwigluHidden part;
    part.h = h.rows(first, count), part.d_gate = d_gate.rows(first, count), part.d_up = d_up.rows(first, count);
    return part;
  }
};

/// Backward of the `swiglu_forward` that filled a record, for rows that come in rounds and pieces (see LinearBackward).
template <class Scalar>
class SwigluBackward {
 public:
  SwigluBackward(const SwigluParameters<Scalar>& parameters, SwigluParameters<Scalar>& gradients, Context& context)
      : activation_(parameters.activation),
        gate_(parameters.gate_proj, gradients.gate_proj, context),
        up_(parameters.up_proj, gradients.up_proj, context),
        down_(parameters.down_proj, gradients.down_proj, context) {}

  /// For the rows of a piece: assigns `hidden` and d_x, which must not overlap d_y; an empty d_x is not wanted.
  void input(const SwigluRecord<Scalar>& record, MatrixView<const Scalar> d_y, const SwigluHidden<Scalar>& hidden,
             MatrixView<Scalar> d_x, Context& own) const {
    detail::swiglu_hidden(activation_, record, hidden.h, own);
    down_.input(d_y, hidden.d_gate, own);
    detail::swiglu_hidden_backward(activation_, record, hidden.d_gate, hidden.d_up, own);
    gate_.input(hidden.d_gate, d_x, own);
    up_.input(hidden.d_up, d_x, own, kernels::Output::accumulate);
  }

  /// For the rows of a round: adds to the gradients of the weights; unbound ones are not wanted.
  void weights(MatrixView<const Scalar> x, MatrixView<const Scalar> d_y, const SwigluHidden<Scalar>& hidden,
               Context& context) const {
    WeightSums<Scalar> sums(context);
    down_.weight(hidden.h, d_y, sums);
    gate_.weight(x, hidden.d_gate, sums);
    up_.weight(x, hidden.d_up, sums);
    sums.add_up();
  }

 private:
  kernels::Activation activation_;
  LinearBackward<Scalar> gate_, up_, down_;
};

/// The same for all rows of a call: d_x [N × C] is assigned and must not overlap d_y, `gradients` accumulate; an empty
/// d_x and unbound gradients are not wanted.
template <class Scalar>
void swiglu_backward(const SwigluParameters<Scalar>& parameters, const SwigluRecord<Scalar>& record,
                     MatrixView<const std::type_identity_t<Scalar>> x,
                     MatrixView<const std::type_identity_t<Scalar>> d_y, MatrixView<std::type_identity_t<Scalar>> d_x,
                     SwigluParameters<Scalar>& gradients, Context& context) {
  const Arena::Frame frame(context.scratch());
  const SwigluBackward<Scalar> backward(parameters, gradients, context);
  in_rounds(x.rows(), context, [&](Index first, Index count) {
    const auto d = d_y.rows(first, count);
    const SwigluHidden<Scalar> hidden(context.scratch(), count, parameters.hidden());
    in_pieces(count, context, [&](Index row, Index size, Context& own) {
      backward.input(record.rows(first + row, size), d.rows(row, size), hidden.rows(row, size),
                     d_x.empty() ? d_x : d_x.rows(first + row, size), own);
    });
    backward.weights(x.rows(first, count), d, hidden, context);
  });
}

}  // namespace nn

TTT_NAMESPACE_END
