// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/activation.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/norm.hpp"
#include "ttt/nn/row_pieces.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// What stands between the output of a rule and the projection behind it: a norm and a gate f(g), either of them or
/// both.
///
///   norm(x) ∘ f(g)      TTT (layer norm, gelu), Gated DeltaNet (RMS per head, silu), KDA (RMS per head, sigmoid)
///   norm(x ∘ f(g))      gate_first: Mamba-2 (RMS per group of columns, silu)
struct GatedOutputConfig {
  NormKind norm = NormKind::rms;
  Index group = 0;             ///< columns that are normed together, a divisor of the width
  bool shared_weight = false;  ///< [group], the same for all groups, instead of [C]
  kernels::Activation activation = kernels::Activation::silu;
  bool gate_first = false;
  double epsilon = 1e-6;
};

/// Weight and, of a layer norm, bias: [C] or [group].
template <class Element>
struct GatedOutputParameters {
  using Scalar = Element;

  Tensor<Scalar> weight, bias;

  GatedOutputParameters() = default;
  GatedOutputParameters(const GatedOutputConfig& config, Index width) {
    const Shape shape{config.shared_weight ? config.group : width};
    if (config.norm != NormKind::none) weight = Tensor<Scalar>(shape);
    if (config.norm == NormKind::layer) bias = Tensor<Scalar>(shape);
  }

  void visit(ParameterVisitor<Scalar> visitor) {
    if (weight.shape().rank() > 0) visitor("weight", weight, parameter::one);
    if (bias.shape().rank() > 0) visitor("bias", bias, parameter::zero);
  }
};

/// The forward and backward of N rows. x is the output of the rule, `gate` the pre-activation of the gate; an empty one
/// is no gate. All [N × C].
template <class Scalar>
class GatedOutput {
 public:
  using Parameters = GatedOutputParameters<Scalar>;

  GatedOutput(const GatedOutputConfig& config, const Parameters& parameters)
      : config_(config),
        norm_{config.norm, parameters.weight.vector(), parameters.bias.vector(), config.group, config.epsilon} {}

  /// y is assigned and may equal x.
  void forward(MatrixView<const Scalar> x, MatrixView<const Scalar> gate, MatrixView<Scalar> y,
               Context& context) const {
    context.parallel_ranges(x.rows(), detail::rows_per_range, [&](Index first, Index count, Arena&) {
      const auto part = [&](auto view) { return view.empty() ? view : view.rows(first, count); };
      const auto to = part(y);
      if (gate.empty()) return norm_.rows(part(x), to, context);
      if (config_.gate_first) {
        multiply(part(gate), part(x), to, context);
        norm_.rows(to, to, context);
      } else {
        norm_.rows(part(x), to, context);
        multiply(part(gate), to, to, context);
      }
    });
  }

  /// Assigns d_x and, where there is a gate, d_gate, accumulates `gradients` (unbound ones are not wanted), and assigns
  /// what the forward was to y unless it is empty. d_x may equal d_y; nothing else overlaps.
  void backward(MatrixView<const Scalar> x, MatrixView<const Scalar> gate, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, MatrixView<Scalar> d_gate, Parameters& gradients, MatrixView<Scalar> y,
                Context& context) const {
    detail::sum_gradients<Scalar, 2>(
        x.rows(), {&gradients.weight, &gradients.bias}, context,
        [&](Index first, Index count, const auto& sums, Arena& arena) {
          const auto part = [&](auto view) { return view.empty() ? view : view.rows(first, count); };
          const auto middle = gate.empty() ? MatrixView<Scalar>() : arena.matrix<Scalar>(count, x.columns());
          const auto norm_backward = [&](MatrixView<const Scalar> from, MatrixView<const Scalar> d) {
            for (Index r = 0; r < count; ++r)
              norm_.row_backward(from.row(r), x.columns(), d.row(r), d_x.row(first + r), sums[0], sums[1], context);
          };
          if (gate.empty()) {
            norm_backward(part(x), part(d_y));
            if (!y.empty()) norm_.rows(part(x), part(y), context);
          } else if (config_.gate_first) {
            multiply(part(gate), part(x), middle, context);
            norm_backward(middle, part(d_y));
            multiply_backward(part(gate), part(x), part(d_x), part(d_gate), part(d_x), context);
            if (!y.empty()) norm_.rows(middle, part(y), context);
          } else {
            norm_.rows(part(x), middle, context);
            multiply_backward(part(gate), middle, part(d_y), part(d_gate), part(d_x), context);
            norm_backward(part(x), part(d_x));
            if (!y.empty()) multiply(part(gate), middle, part(y), context);
          }
        });
  }

 private:
  void multiply(MatrixView<const Scalar> gate, MatrixView<const Scalar> x, MatrixView<Scalar> y,
                Context& context) const {
    context.call<KernelId::gate_rows, Scalar, &kernels::gate_rows<simd::Native, Scalar>>(config_.activation, gate, x,
                                                                                         y);
  }
  void multiply_backward(MatrixView<const Scalar> gate, MatrixView<const Scalar> x, MatrixView<const Scalar> d_y,
                         MatrixView<Scalar> d_gate, MatrixView<Scalar> d_x, Context& context) const {
    context.call<KernelId::gate_rows_backward, Scalar, &kernels::gate_rows_backward<simd::Native, Scalar>>(
        config_.activation, gate, x, d_y, d_gate, d_x);
  }

  GatedOutputConfig config_;
  Norm<Scalar> norm_;
};

/// y = (norm and gate of x) Wᵀ, what recurrent layers end in: x, gate [N × I], W [C × I], y [N × C], assigned.
template <class Scalar>
void gated_projection_forward(const GatedOutput<Scalar>& output, const Tensor<Scalar>& weight,
                              MatrixView<const std::type_identity_t<Scalar>> x,
                              MatrixView<const std::type_identity_t<Scalar>> gate,
                              MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto part = [&](auto view) { return view.empty() ? view : view.rows(first, count); };
    const auto gated = own.scratch().template matrix<Scalar>(count, x.columns());
    output.forward(part(x), part(gate), gated, own);
    linear_forward<Scalar>(weight, gated, part(y), own);
  });
}

/// Its backward: assigns d_x and, where there is a gate, d_gate; `gradients` of the norm and d_weight accumulate,
/// unbound ones are not wanted.
template <class Scalar>
void gated_projection_backward(const GatedOutput<Scalar>& output, const Tensor<Scalar>& weight,
                               MatrixView<const std::type_identity_t<Scalar>> x,
                               MatrixView<const std::type_identity_t<Scalar>> gate,
                               MatrixView<const std::type_identity_t<Scalar>> d_y,
                               MatrixView<std::type_identity_t<Scalar>> d_x,
                               MatrixView<std::type_identity_t<Scalar>> d_gate,
                               GatedOutputParameters<Scalar>& gradients, Tensor<Scalar>& d_weight, Context& context) {
  const Arena::Frame frame(context.scratch());
  const auto gated = context.scratch().template matrix<Scalar>(x.rows(), x.columns());
  const LinearBackward<Scalar> linear(weight, d_weight, context);
  in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    linear.input(d_y.rows(first, count), d_x.rows(first, count), own);
  });
  output.backward(x, gate, d_x, d_x, d_gate, gradients, gated, context);
  WeightSums<Scalar> sums(context);
  linear.weight(gated, d_y, sums);
  sums.add_up();
}

}  // namespace nn

TTT_NAMESPACE_END
