// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ttt/core/segment.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

/// One segment of a call: which rows it has, and where they stand in their sequence.
struct PlannedSegment {
  Index row = 0, length = 0;  ///< rows [row, row + length) of the call
  std::int64_t position = 0;  ///< of its first token in the sequence
  bool reset = false;         ///< begins from the learned initial state
  bool continues = false;     ///< shares its State with the segment before

  Index end() const { return row + length; }
};

/// The segments of a call in its order, one below the other.
using SegmentPlan = std::span<const PlannedSegment>;

/// Rows of all segments together.
inline Index total_rows(SegmentPlan plan) { return plan.empty() ? 0 : plan.back().end(); }

/// Assigns the plan of a call to `plan`, which has an entry for each segment. A State that several segments share
/// advances from one to the next.
template <class State>
void plan_segments(std::span<const Segment<State>> segments, std::span<PlannedSegment> plan) {
  Index row = 0;
  std::int64_t end = 0;  // of the sequence so far
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto& [length, state, reset] = segments[i];
    const bool goes_on = continues(segments, i);
    if (!goes_on) end = state->position;
    if (reset) end = 0;
    plan[i] = {row, length, end, reset, goes_on};
    row += length;
    end += length;
  }
}
/// The same in memory of an arena.
template <class State>
SegmentPlan plan_segments(std::span<const Segment<State>> segments, Arena& memory) {
  const std::span plan(memory.allocate<PlannedSegment>(static_cast<Index>(segments.size())), segments.size());
  plan_segments(segments, plan);
  return plan;
}

/// Calls `body(row, position)` for rows [first, first + count) of a planned call and the positions of their tokens.
template <class Body>
void for_each_position(SegmentPlan plan, Index first, Index count, Body&& body) {
  if (count == 0) return;
  auto segment = std::upper_bound(plan.begin(), plan.end(), first,
                                  [](Index row, const PlannedSegment& next) { return row < next.row; }) -
                 1;
  for (Index row = first; row < first + count; ++row) {
    while (row >= segment->end()) ++segment;
    body(row, segment->position + row - segment->row);
  }
}

/// Segments [first, end) of a call.
struct SegmentRange {
  std::size_t first = 0, end = 0;
};

/// The runs of segments that share a State, in memory of an arena: what one task works through in order.
inline std::span<SegmentRange> plan_runs(SegmentPlan plan, Arena& memory) {
  auto* const runs = memory.allocate<SegmentRange>(static_cast<Index>(plan.size()));
  std::size_t count = 0;
  for (std::size_t i = 0; i < plan.size(); ++i)
    if (plan[i].continues)
      runs[count - 1].end = i + 1;
    else
      runs[count++] = {i, i + 1};
  return {runs, count};
}

TTT_NAMESPACE_END
