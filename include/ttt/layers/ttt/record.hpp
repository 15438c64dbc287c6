// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>

#include "ttt/layers/call_checks.hpp"
#include "ttt/rules/ttt/sequence.hpp"

TTT_NAMESPACE_BEGIN

/// One segment of a call, with what the call needs to know of its state.
struct TttSegment {
  Index row = 0;                   ///< first row of the segment in the call
  Index length = 0;
  std::int64_t position = 0;       ///< of its first token in the sequence
  bool reset = false;
  bool continues = false;          ///< shares its State with the segment before
  Index phase(Index mini_batch) const { return static_cast<Index>(position % mini_batch); }
};

/// What the rows of one call become on their way through a TTT layer; all views into one arena.
template <class Scalar>
struct TttActivations {
  MatrixView<const Scalar> x;       ///< [N × C]
  MatrixView<Scalar> shared;        ///< [N × C] shared query/key projection before the convolutions, else empty
  MatrixView<Scalar> queries;       ///< [N × C] rotated
  MatrixView<Scalar> keys;          ///< [N × C] rotated
  MatrixView<Scalar> values;        ///< [N × C]
  MatrixView<Scalar> rates;         ///< [H × N] inner learning rates η
  MatrixView<Scalar> inner;         ///< [N × C] the rule's output
  MatrixView<Scalar> gate;          ///< [N × C] x W_g, else empty
  VectorView<Scalar> factors;       ///< [K] position factors τ
  std::span<TttSegment> segments;
  Index row = 0;                    ///< of the call, where the views begin

  /// Rows [first, first + count) of all views; the segments are still those of the call.
  TttActivations piece(Index first, Index count) const {
    TttActivations part = *this;
    part.x = x.rows(first, count);
    for (auto* view : {&part.shared, &part.queries, &part.keys, &part.values, &part.inner, &part.gate})
      if (!view->empty()) *view = view->rows(first, count);
    if (!rates.empty()) part.rates = rates.columns(first, count);
    part.row = row + first;
    return part;
  }

  /// Rows of one segment and head.
  rules::TttRows<const Scalar> rows(const TttSegment& segment, Index head, Index width) const {
    const auto part = [&](MatrixView<Scalar> all) {
      return MatrixView<const Scalar>(all.rows(segment.row, segment.length).columns(head * width, width));
    };
    return {part(queries), part(keys), part(values), {rates.row(head) + segment.row, segment.length}};
  }
  /// The same rows to write to, of a struct of gradients.
  rules::TttRows<Scalar> gradient_rows(const TttSegment& segment, Index head, Index width) const {
    const auto part = [&](MatrixView<Scalar> all) {
      return all.rows(segment.row, segment.length).columns(head * width, width);
    };
    return {part(queries), part(keys), part(values), {rates.row(head) + segment.row, segment.length}};
  }
};

/// What a forward pass of a TTT layer leaves for its backward; owned by the caller, reused without allocating.
template <class Scalar>
struct TttRecord {
  RecordedCall call;
  Arena arena;
  TttActivations<Scalar> activations;
  std::span<Scalar*> checkpoints;     ///< [segments × H] memory of TttCheckpoints
  MatrixView<Scalar> tails;           ///< convolution tails before each segment, [segments · (taps − 1) × C]
};

/// Segments of a call with their positions; a State that several segments share advances from one to the next.
template <class State>
std::span<TttSegment> plan_segments(std::span<const Segment<State>> segments, Arena& memory) {
  const std::span<TttSegment> plan(memory.allocate<TttSegment>(static_cast<Index>(segments.size())), segments.size());
  Index row = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const bool goes_on = continues(segments, i);
    const std::int64_t own = segments[i].state->position;
    const std::int64_t before = goes_on ? plan[i - 1].position + plan[i - 1].length : own;
    plan[i] = {row, segments[i].length, segments[i].reset ? 0 : before, segments[i].reset, goes_on};
    row += segments[i].length;
  }
  return plan;
}

/// Segments [first, end) that share a State, in scratch: what one task works through in order.
struct SegmentRange {
  std::size_t first = 0, end = 0;
};
inline std::span<SegmentRange> plan_runs(std::span<const TttSegment> segments, Arena& memory) {
  SegmentRange* runs = memory.allocate<SegmentRange>(static_cast<Index>(segments.size()));
  std::size_t count = 0;
  for (std::size_t i = 0; i < segments.size(); ++i)
    if (segments[i].continues)
      runs[count - 1].end = i + 1;
    else
      runs[count++] = {i, i + 1};
  return {runs, count};
}

TTT_NAMESPACE_END
