// SPDX-License-Identifier: MIT
/// @file
/// Depthwise causal convolution of a few taps over the tokens of each segment. What each segment starts from is worked
/// out once (`convolution_tails`) and kept by the caller, so that several convolutions can read the same rows and a
/// backward finds it again. Streams side by side, q | k | v in one matrix, are one wider convolution.
///
///     convolution_tails(x, plan, tails, initial_tails, context);                    // advances every tail
///     short_convolution_forward(parameters, x, plan, initial_tails, y, context);    // once per convolution
///     …
///     short_convolution_backward(parameters, x, plan, initial_tails, d_y, d_x, d_initial_tails, gradients, context);
///     convolution_tails_backward(plan, d_tails, d_initial_tails, d_x, context);     // adds to d_x, turns d_tails
#pragma once

#include <algorithm>

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/activation.hpp"
#include "ttt/nn/short_convolution/tails.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Weight [C × 1 × taps], the last tap for the current token, and bias [C], which may be left out, of a convolution
/// whose sums go through an activation: none in TTT layers, silu in Gated DeltaNet (without a bias) and Mamba.
template <class Element>
struct ShortConvolutionParameters {
  using Scalar = Element;

  Tensor<Scalar> weight, bias;
  kernels::Activation activation = kernels::Activation::none;

  ShortConvolutionParameters() = default;
  ShortConvolutionParameters(Index width, Index taps, bool has_bias = true,
                             kernels::Activation function = kernels::Activation::none)
      : weight(Shape{width, 1, taps}), activation(function) {
    if (has_bias) bias = Tensor<Scalar>(Shape{width});
  }

  Index width() const { return weight.shape()[0]; }
  Index taps() const { return weight.shape()[2]; }

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("weight", weight, parameter::convolution(taps()));
    if (bias.shape().rank() > 0) visitor("bias", bias, parameter::convolution(taps()));
  }
};

namespace detail {

/// The published weight [C × taps], channels [first, first + count), as [taps × count].
template <class Scalar>
MatrixView<Scalar> transposed_taps(const Tensor<Scalar>& weight, Index first, Index count, Arena& arena) {
  const auto rows = weight.matrix();
  const auto transposed = arena.matrix<Scalar>(weight.shape()[2], count);
  kernels::transpose(rows.rows(first, count), transposed);
  return transposed;
}

/// The same channels of a vector that may be unbound.
template <class Vector>
Vector channels_of_vector(Vector vector, Index first, Index count) {
  return vector.empty() ? Vector() : Vector(vector.data() + first, count);
}

/// Weights and bias of some channels.
template <class Scalar>
struct ConvolutionChannels {
  MatrixView<const Scalar> weights;
  VectorView<const Scalar> bias;
  kernels::Activation activation;
  Context& context;

  ConvolutionChannels(const ShortConvolutionParameters<Scalar>& parameters, Index first, Index count, Arena& arena,
                      Context& all)
      : weights(transposed_taps(parameters.weight, first, count, arena)),
        bias(channels_of_vector(parameters.bias.vector(), first, count)),
        activation(parameters.activation),
        context(all) {}

  /// The sums of a segment, before their activation.
  void sum(MatrixView<const Scalar> x, MatrixView<const Scalar> tail, MatrixView<Scalar> sums) const {
    context.call<KernelId::causal_convolution, Scalar, &kernels::causal_convolution<simd::Native, Scalar>>(
        x, tail, weights, bias, sums);
  }
  void forward(MatrixView<const Scalar> x, MatrixView<const Scalar> tail, MatrixView<Scalar> y) const {
    if (activation == kernels::Activation::none) return sum(x, tail, y);
    // Blocks of rows are still in the first-level cache when they are activated.
    const Index rows = tail.rows(), block = std::max<Index>(64, rows);
    for (Index first = 0; first < x.rows(); first += block) {
      const Index count = std::min(block, x.rows() - first);
      const auto to = y.rows(first, count);
      sum(x.rows(first, count), first == 0 ? tail : x.rows(first - rows, rows), to);
      context.call<KernelId::activate_rows, Scalar, &kernels::activate_rows<simd::Native, Scalar>>(activation, to, to);
    }
  }
  /// The gradient of the sums, which are worked out anew.
  MatrixView<const Scalar> backward(MatrixView<const Scalar> x, MatrixView<const Scalar> tail,
                                    MatrixView<const Scalar> d_y, Arena& arena) const {
    if (activation == kernels::Activation::none) return d_y;
    const auto sums = arena.matrix<Scalar>(x.rows(), x.columns());
    sum(x, tail, sums);
    context.call<KernelId::activate_rows_backward, Scalar, &kernels::activate_rows_backward<simd::Native, Scalar>>(
        activation, sums, d_y, sums);
    return sums;
  }
};

}  // namespace detail

/// y[t] = f(bias + Σ_j weight[:, j] ∘ x[t − taps + 1 + j]) within each segment: x, y [N × C], `initial_tails` from
/// `convolution_tails`. y is assigned and must not overlap x.
template <class Scalar>
void short_convolution_forward(const ShortConvolutionParameters<Scalar>& parameters,
                               MatrixView<const std::type_identity_t<Scalar>> x, SegmentPlan plan,
                               MatrixView<const std::type_identity_t<Scalar>> initial_tails,
                               MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  detail::over_channels(x.rows(), x.columns(), context, [&](Index channel, Index channels, Arena& arena) {
    const detail::ConvolutionChannels<Scalar> own(parameters, channel, channels, arena, context);
    for (std::size_t i = 0; i < plan.size(); ++i)
      own.forward(x.rows(plan[i].row, plan[i].length).columns(channel, channels),
                  detail::tail_rows(initial_tails, i, parameters.taps() - 1).columns(channel, channels),
                  y.rows(plan[i].row, plan[i].length).columns(channel, channels));
  });
}

/// Backward of `short_convolution_forward`: d_x [N × C] and d_initial_tails, shaped as `initial_tails`, are assigned or
/// accumulated as `output` says (a second convolution of the same rows accumulates); `gradients` accumulate, in the
/// order of the rows. Empty and unbound ones are not wanted; d_x must not overlap d_y. The forward's tails are not
/// read, but its x and `initial_tails` must still be there.
template <class Scalar>
void short_convolution_backward(const ShortConvolutionParameters<Scalar>& parameters,
                                MatrixView<const std::type_identity_t<Scalar>> x, SegmentPlan plan,
                                MatrixView<const std::type_identity_t<Scalar>> initial_tails,
                                MatrixView<const std::type_identity_t<Scalar>> d_y,
                                MatrixView<std::type_identity_t<Scalar>> d_x,
                                MatrixView<std::type_identity_t<Scalar>> d_initial_tails,
                                ShortConvolutionParameters<Scalar>& gradients, Context& context,
                                kernels::Output output = kernels::Output::assign) {
  detail::over_channels(x.rows(), x.columns(), context, [&](Index channel, Index channels, Arena& arena) {
    const detail::ConvolutionChannels<Scalar> own(parameters, channel, channels, arena, context);
    const auto d_weights = gradients.weight.empty()
                               ? MatrixView<Scalar>()
                               : detail::transposed_taps(gradients.weight, channel, channels, arena);
    const auto d_bias = detail::channels_of_vector(gradients.bias.vector(), channel, channels);
    const auto d_rows = detail::channels_of(d_x, channel, channels);
    const auto d_tails = detail::channels_of(d_initial_tails, channel, channels);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const Arena::Frame frame(arena);
      const auto part = [&](auto view) { return view.empty() ? view : view.rows(plan[i].row, plan[i].length); };
      const auto tail = detail::tail_rows(initial_tails, i, parameters.taps() - 1).columns(channel, channels);
      const auto from = part(x).columns(channel, channels);
      context.call<KernelId::causal_convolution_backward, Scalar,
                   &kernels::causal_convolution_backward<simd::Native, Scalar>>(
          from, tail, own.weights, own.backward(from, tail, part(d_y).columns(channel, channels), arena), part(d_rows),
          d_tails.empty() ? d_tails : detail::tail_rows(d_tails, i, parameters.taps() - 1), d_weights, d_bias, output);
    }
    if (!gradients.weight.empty())
      kernels::transpose(MatrixView<const Scalar>(d_weights), gradients.weight.matrix().rows(channel, channels));
  });
}

/// One convolution over the segments of a call, with the tails that `tail_of(state)` tells, which advance: assigns
/// `initial_tails` and y.
template <class Scalar, class State, class TailOf>
void convolve_segments(const ShortConvolutionParameters<Scalar>& parameters,
                       MatrixView<const std::type_identity_t<Scalar>> x, std::span<const Segment<State>> segments,
                       SegmentPlan plan, TailOf&& tail_of, MatrixView<std::type_identity_t<Scalar>> initial_tails,
                       MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  const Arena::Frame frame(context.scratch());
  const auto tails = conv_tails<Scalar>(segments, tail_of, context.scratch());
  convolution_tails<Scalar>(x, plan, tails, initial_tails, context);
  short_convolution_forward<Scalar>(parameters, x, plan, initial_tails, y, context);
}

/// Backward of `convolve_segments`: assigns d_x, adds to `gradients`, and turns the tails of `d_states`.
template <class Scalar, class State, class TailOf>
void convolve_segments_backward(const ShortConvolutionParameters<Scalar>& parameters,
                                MatrixView<const std::type_identity_t<Scalar>> x, SegmentPlan plan,
                                std::span<State* const> d_states, TailOf&& tail_of,
                                MatrixView<const std::type_identity_t<Scalar>> initial_tails,
                                MatrixView<const std::type_identity_t<Scalar>> d_y,
                                MatrixView<std::type_identity_t<Scalar>> d_x,
                                ShortConvolutionParameters<Scalar>& gradients, Context& context) {
  Arena& scratch = context.scratch();
  const Arena::Frame frame(scratch);
  const auto d_initial_tails = scratch.matrix<Scalar>(initial_tails.rows(), initial_tails.columns());
  const auto d_tails = conv_tails<Scalar>(plan, d_states, tail_of, scratch);
  short_convolution_backward<Scalar>(parameters, x, plan, initial_tails, d_y, d_x, d_initial_tails, gradients, context);
  convolution_tails_backward<Scalar>(plan, d_tails, d_initial_tails, d_x, context);
}

}  // namespace nn

TTT_NAMESPACE_END
