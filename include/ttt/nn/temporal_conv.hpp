// SPDX-License-Identifier: MIT
/// @file
/// Depthwise causal convolution over segments. What each segment starts from is worked out once (`temporal_conv_tails`)
/// and kept by the caller, so that several convolutions can read the same rows and a backward finds it again:
///
///     temporal_conv_tails(x, plan, tails, initial_tails, context);                // advances every tail
///     temporal_conv_forward(parameters, x, plan, initial_tails, y, context);      // once per convolution
///     …
///     temporal_conv_backward(parameters, x, plan, initial_tails, d_y, d_x, d_initial_tails, gradients, context);
///     temporal_conv_tails_backward(plan, d_tails, d_initial_tails, d_x, context);  // adds to d_x, turns d_tails
#pragma once

#include <span>

#include "ttt/core/context.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/core/segment_plan.hpp"
#include "ttt/kernels/causal_convolution.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Weight [C × 1 × taps], the last tap for the current token, and bias [C].
template <class Element>
struct TemporalConvParameters {
  using Scalar = Element;

  Tensor<Scalar> weight, bias;

  TemporalConvParameters() = default;
  TemporalConvParameters(Index width, Index taps) : weight(Shape{width, 1, taps}), bias(Shape{width}) {}

  Index width() const { return weight.shape()[0]; }
  Index taps() const { return weight.shape()[2]; }

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("weight", weight, parameter::convolution(taps()));
    visitor("bias", bias, parameter::convolution(taps()));
  }
};

/// Of each segment of a call, where its sequence has the rows before the next one [(taps − 1) × C], oldest first: part
/// of its State in a forward, of the State's gradient in a backward. An empty one is not wanted, and zero in a
/// backward. Segments that share a State have the same one (or none).
template <class Scalar>
using ConvTails = std::span<const MatrixView<Scalar>>;

/// The tails that `tail_of(state)` gives for the segments of a call, in memory of an arena.
template <class Scalar, class State, class TailOf>
ConvTails<Scalar> conv_tails(std::span<const Segment<State>> segments, TailOf&& tail_of, Arena& memory) {
  auto* const tails = memory.allocate<MatrixView<Scalar>>(static_cast<Index>(segments.size()));
  for (std::size_t i = 0; i < segments.size(); ++i) tails[i] = tail_of(*segments[i].state);
  return {tails, segments.size()};
}
/// The same for the gradients of the States of a planned call: none for null ones, or where there are none at all.
template <class Scalar, class State, class TailOf>
ConvTails<Scalar> conv_tails(SegmentPlan plan, std::span<State* const> d_states, TailOf&& tail_of, Arena& memory) {
  auto* const tails = memory.allocate<MatrixView<Scalar>>(static_cast<Index>(plan.size()));
  for (std::size_t i = 0; i < plan.size(); ++i)
    tails[i] = d_states.empty() || !d_states[i] ? MatrixView<Scalar>() : tail_of(*d_states[i]);
  return {tails, plan.size()};
}

namespace detail {

/// Channels per task: the work is shared out by channels, which depend on nothing but themselves. A few rows are not
/// worth sharing.
inline Index conv_grain(Index rows, Index channels) { return rows < 16 ? channels : std::min<Index>(channels, 64); }

/// The published weight [C × taps], channels [first, first + count), as [taps × count].
template <class Scalar>
MatrixView<Scalar> transposed_taps(const Tensor<Scalar>& weight, Index first, Index count, Arena& arena) {
  const auto rows = weight.matrix();
  const auto transposed = arena.matrix<Scalar>(weight.shape()[2], count);
  kernels::transpose(rows.rows(first, count), transposed);
  return transposed;
}

/// The same channels of a view that may be empty.
template <class View>
View channels_of(View view, Index first, Index count) {
  return view.empty() ? View() : view.columns(first, count);
}

/// Of rows that each segment has so many of, those of segment i.
template <class View>
View tail_rows(View all, std::size_t i, Index rows) {
  return all.rows(static_cast<Index>(i) * rows, rows);
}

/// Runs `task(first_channel, channels, arena)` over all channels.
template <class Task>
void over_channels(Index rows, Index channels, Context& context, Task&& task) {
  if (channels > 0) context.parallel_ranges(channels, conv_grain(rows, channels), task);
}

}  // namespace detail

/// Assigns rows [(taps − 1) · i, …) of `initial_tails` [segments · (taps − 1) × C] to what segment i starts from, and
/// every non-empty tail to what its last segment leaves behind. x [N × C].
template <class Scalar>
void temporal_conv_tails(MatrixView<const std::type_identity_t<Scalar>> x, SegmentPlan plan,
                         ConvTails<std::type_identity_t<Scalar>> tails, MatrixView<Scalar> initial_tails,
                         Context& context) {
  if (plan.empty()) return;
  const Index rows = initial_tails.rows() / static_cast<Index>(plan.size());
  detail::over_channels(x.rows(), x.columns(), context, [&](Index channel, Index channels, Arena& arena) {
    const auto running = arena.matrix<Scalar>(rows, channels);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const PlannedSegment& segment = plan[i];
      const auto tail = detail::channels_of(tails[i], channel, channels);
      TTT_ASSERT(segment.reset || segment.continues || rows == 0 || !tail.empty(),
                 "a segment needs a tail to start from");
      if (segment.reset)
        fill(running, Scalar(0));
      else if (!segment.continues && rows > 0)
        copy(tail, running);
      copy(running, detail::tail_rows(initial_tails, i, rows).columns(channel, channels));
      kernels::advance_tail(x.rows(segment.row, segment.length).columns(channel, channels), running);
      if (!tail.empty()) copy(running, tail);
    }
  });
}

/// y[t] = bias + Σ_j weight[:, j] ∘ x[t − taps + 1 + j] within each segment: x, y [N × C], `initial_tails` from
/// `temporal_conv_tails`. y is assigned and must not overlap x.
template <class Scalar>
void temporal_conv_forward(const TemporalConvParameters<Scalar>& parameters,
                           MatrixView<const std::type_identity_t<Scalar>> x, SegmentPlan plan,
                           MatrixView<const std::type_identity_t<Scalar>> initial_tails,
                           MatrixView<std::type_identity_t<Scalar>> y, Context& context) {
  const Index rows = parameters.taps() - 1;
  detail::over_channels(x.rows(), x.columns(), context, [&](Index channel, Index channels, Arena& arena) {
    const auto weights = detail::transposed_taps(parameters.weight, channel, channels, arena);
    const VectorView<const Scalar> bias(parameters.bias.data() + channel, channels);
    for (std::size_t i = 0; i < plan.size(); ++i)
      context.call<KernelId::causal_convolution, Scalar, &kernels::causal_convolution<simd::Native, Scalar>>(
          x.rows(plan[i].row, plan[i].length).columns(channel, channels),
          detail::tail_rows(initial_tails, i, rows).columns(channel, channels), weights, bias,
          y.rows(plan[i].row, plan[i].length).columns(channel, channels));
  });
}

/// Backward of `temporal_conv_forward`: d_x [N × C] and d_initial_tails, shaped as `initial_tails`, are assigned or
/// accumulated as `output` says (a second convolution of the same rows accumulates); `gradients` accumulate, in the
/// order of the rows. Empty and unbound ones are not wanted; d_x must not overlap d_y. The forward's tails are not
/// read, but its x and `initial_tails` must still be there.
template <class Scalar>
void temporal_conv_backward(const TemporalConvParameters<Scalar>& parameters,
                            MatrixView<const std::type_identity_t<Scalar>> x, SegmentPlan plan,
                            MatrixView<const std::type_identity_t<Scalar>> initial_tails,
                            MatrixView<const std::type_identity_t<Scalar>> d_y,
                            MatrixView<std::type_identity_t<Scalar>> d_x,
                            MatrixView<std::type_identity_t<Scalar>> d_initial_tails,
                            TemporalConvParameters<Scalar>& gradients, Context& context,
                            kernels::Output output = kernels::Output::assign) {
  const Index taps = parameters.taps(), rows = taps - 1;
  detail::over_channels(x.rows(), x.columns(), context, [&](Index channel, Index channels, Arena& arena) {
    const auto weights = detail::transposed_taps(parameters.weight, channel, channels, arena);
    const auto d_weights = gradients.weight.empty()
                               ? MatrixView<Scalar>()
                               : detail::transposed_taps(gradients.weight, channel, channels, arena);
    const auto d_bias =
        gradients.bias.empty() ? VectorView<Scalar>() : VectorView<Scalar>(gradients.bias.data() + channel, channels);
    const auto d_rows = detail::channels_of(d_x, channel, channels);
    const auto d_tails = detail::channels_of(d_initial_tails, channel, channels);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const PlannedSegment& segment = plan[i];
      context.call<KernelId::causal_convolution_backward, Scalar,
                   &kernels::causal_convolution_backward<simd::Native, Scalar>>(
          x.rows(segment.row, segment.length).columns(channel, channels),
          detail::tail_rows(initial_tails, i, rows).columns(channel, channels), MatrixView<const Scalar>(weights),
          d_y.rows(segment.row, segment.length).columns(channel, channels),
          d_rows.empty() ? d_rows : d_rows.rows(segment.row, segment.length),
          d_tails.empty() ? d_tails : detail::tail_rows(d_tails, i, rows), d_weights, d_bias, output);
    }
    if (!gradients.weight.empty())
      kernels::transpose(MatrixView<const Scalar>(d_weights), gradients.weight.matrix().rows(channel, channels));
  });
}

/// Backward of `temporal_conv_tails`, after the convolutions' own: adds to d_x what each row gets as part of a later
/// tail, and turns every non-empty one of `d_tails` from the gradient of a sequence's final tail into that of its
/// initial one. `d_initial_tails` is used up. An empty d_x is not wanted.
template <class Scalar>
void temporal_conv_tails_backward(SegmentPlan plan, ConvTails<std::type_identity_t<Scalar>> d_tails,
                                  MatrixView<Scalar> d_initial_tails, MatrixView<std::type_identity_t<Scalar>> d_x,
                                  Context& context) {
  if (plan.empty()) return;
  const Index rows = d_initial_tails.rows() / static_cast<Index>(plan.size());
  detail::over_channels(
      plan.back().end(), d_initial_tails.columns(), context, [&](Index channel, Index channels, Arena& arena) {
        const auto running = arena.zeros<Scalar>(rows, channels);
        bool continued = false;
        for (std::size_t i = plan.size(); i-- > 0;) {
          const PlannedSegment& segment = plan[i];
          const auto tail = detail::channels_of(d_tails[i], channel, channels);
          if (!continued && tail.empty()) fill(running, Scalar(0));
          if (!continued && !tail.empty()) copy(tail, running);
          const auto d_rows = detail::channels_of(d_x, channel, channels);
          kernels::advance_tail_backward(segment.length,
                                         d_rows.empty() ? d_rows : d_rows.rows(segment.row, segment.length), running);
          const auto d_initial = detail::tail_rows(d_initial_tails, i, rows).columns(channel, channels);
          for (Index r = 0; r < rows; ++r)
            for (Index c = 0; c < channels; ++c) running(r, c) += d_initial(r, c);
          if (segment.reset) fill(running, Scalar(0));
          if (!tail.empty()) copy(running, tail);
          continued = segment.continues && !segment.reset;
        }
      });
}

}  // namespace nn

TTT_NAMESPACE_END
