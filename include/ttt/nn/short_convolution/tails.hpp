// SPDX-License-Identifier: MIT
/// @file
/// The rows that a convolution reads of the time before a call: its **tails**, part of the States.
#pragma once

#include <span>

#include "ttt/core/context.hpp"
#include "ttt/core/segment_plan.hpp"
#include "ttt/kernels/causal_convolution.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Of each segment of a call, where its sequence has the rows before the next one [(taps − 1) × C], oldest first: part
/// of its State in a forward, of the State's gradient in a backward. An empty one is not wanted, and zero in a
/// backward. Segments that share a State have the same one (or none).
template <class Scalar>
using ConvolutionTails = std::span<const MatrixView<Scalar>>;

/// The tails that `tail_of(state)` gives for the segments of a call, in memory of an arena.
template <class Scalar, class State, class TailOf>
ConvolutionTails<Scalar> conv_tails(std::span<const Segment<State>> segments, TailOf&& tail_of, Arena& memory) {
  auto* const tails = memory.allocate<MatrixView<Scalar>>(static_cast<Index>(segments.size()));
  for (std::size_t i = 0; i < segments.size(); ++i) tails[i] = tail_of(*segments[i].state);
  return {tails, segments.size()};
}
/// The same for the gradients of the States of a planned call: none for null ones, or where there are none at all.
template <class Scalar, class State, class TailOf>
ConvolutionTails<Scalar> conv_tails(SegmentPlan plan, std::span<State* const> d_states, TailOf&& tail_of,
                                    Arena& memory) {
  auto* const tails = memory.allocate<MatrixView<Scalar>>(static_cast<Index>(plan.size()));
  for (std::size_t i = 0; i < plan.size(); ++i)
    tails[i] = d_states.empty() || !d_states[i] ? MatrixView<Scalar>() : tail_of(*d_states[i]);
  return {tails, plan.size()};
}

namespace detail {

/// Channels per task: the work is shared out by channels, which depend on nothing but themselves. A few rows are not
/// worth sharing.
inline Index channels_per_task(Index rows, Index channels) {
  return rows < 16 ? channels : std::min<Index>(channels, 64);
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
  if (channels > 0) context.parallel_ranges(channels, channels_per_task(rows, channels), task);
}

}  // namespace detail

/// Assigns rows [(taps − 1) · i, …) of `initial_tails` [segments · (taps − 1) × C] to what segment i starts from, and
/// every non-empty tail to what its last segment leaves behind. x [N × C].
template <class Scalar>
void convolution_tails(MatrixView<const std::type_identity_t<Scalar>> x, SegmentPlan plan,
                       ConvolutionTails<std::type_identity_t<Scalar>> tails, MatrixView<Scalar> initial_tails,
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

/// Backward of `convolution_tails`, after the convolutions' own: adds to d_x what each row gets as part of a later
/// tail, and turns every non-empty one of `d_tails` from the gradient of a sequence's final tail into that of its
/// initial one. `d_initial_tails` is used up. An empty d_x is not wanted.
template <class Scalar>
void convolution_tails_backward(SegmentPlan plan, ConvolutionTails<std::type_identity_t<Scalar>> d_tails,
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
