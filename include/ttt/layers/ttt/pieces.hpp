// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>

#include "ttt/core/segment_plan.hpp"

TTT_NAMESPACE_BEGIN

/// The segments of a call in pieces of at most `most` rows (at least a mini-batch). A sequence is cut where one of its
/// mini-batches ends only, so that the pieces one after another have the bits of the whole call.
template <class State>
class SegmentPieces {
 public:
  using Segments = std::span<const Segment<State>>;

  SegmentPieces(Segments segments, Index mini_batch, Index most, Arena& memory)
      : segments_(segments),
        plan_(plan_segments(segments, memory)),
        piece_(memory.allocate<Segment<State>>(static_cast<Index>(segments.size()))),
        mini_batch_(mini_batch),
        most_(most) {}

  bool done() const { return first_ == segments_.size(); }
  /// The segment of the call that the next piece begins in.
  Index first() const { return static_cast<Index>(first_); }

  /// The next piece; it is overwritten by the one after it.
  Segments next() {
    std::size_t count = 0;
    for (Index rows = 0; !done(); ++count) {
      const Index left = plan_[first_].length - offset_, length = cut(left, most_ - rows);
      if (length == 0 && left > 0) break;
      piece_[count] = {length, segments_[first_].state, segments_[first_].reset && offset_ == 0};
      rows += length;
      offset_ = length == left ? 0 : offset_ + length;
      if (offset_ == 0) ++first_;
    }
    return {piece_, count};
  }

 private:
  /// Of the `left` rows of a segment, those up to the last end of a mini-batch among the next `most`, or all.
  Index cut(Index left, Index most) const {
    if (left <= most) return left;
    const auto open = static_cast<Index>((plan_[first_].position + offset_) % mini_batch_);
    return std::max<Index>(0, (open + most) / mini_batch_ * mini_batch_ - open);
  }

  Segments segments_;
  SegmentPlan plan_;
  Segment<State>* piece_;
  Index mini_batch_, most_;
  std::size_t first_ = 0;
  Index offset_ = 0;  // rows of that segment that earlier pieces had
};

TTT_NAMESPACE_END
