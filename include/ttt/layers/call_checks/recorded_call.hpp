// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "ttt/core/fingerprint.hpp"
#include "ttt/core/segment_plan.hpp"

TTT_NAMESPACE_BEGIN

/// What a Record knows of the forward that filled it.
class RecordedCall {
 public:
  /// From now on the record has nothing, until `end`: the forward may be stopped. Returns the plan of the call, which
  /// stays until the next one.
  template <class State>
  SegmentPlan begin(std::span<const Segment<State>> segments) {
    layer_ = {};
    plan_.resize(segments.size());
    plan_segments(segments, std::span(plan_));
    return plan_;
  }
  void end(Fingerprint layer) { layer_ = layer; }

  /// Nobody's while the record has nothing.
  Fingerprint layer() const { return layer_; }
  SegmentPlan plan() const { return plan_; }
  Index rows() const { return total_rows(SegmentPlan(plan_)); }

 private:
  Fingerprint layer_;
  std::vector<PlannedSegment> plan_;
};

TTT_NAMESPACE_END
