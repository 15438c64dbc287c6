// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// The inner loss ½‖f(k) − v‖² of one mini-batch of one head, averaged over its tokens: what the layer has learned.
struct InnerLoss {
  Index block = 0;            ///< block of the model
  Index segment = 0;          ///< segment of the call
  Index head = 0;             ///< head of the layer
  std::int64_t position = 0;  ///< position of the mini-batch's first token in its sequence
  Index tokens = 0;           ///< tokens the averages are over
  double at_initial = 0;      ///< with the learned W₀: no test-time training at all
  double before_update = 0;   ///< with the fast weights the mini-batch started with
  double after_update = 0;    ///< with the fast weights it left behind
  friend bool operator==(const InnerLoss&, const InnerLoss&) = default;
};

/// Receives statistics on the thread that made the call. Attach one to Context::statistics.
///
/// The order does not depend on threads or memory: a layer reports segment after segment, in each mini-batch after
/// mini-batch, of each head after head; a model does so block after block. A mini-batch that several calls read is
/// reported in as many parts. Long calls report while they run.
class StatisticsSink {
 public:
  virtual ~StatisticsSink() = default;
  virtual void inner_loss(const InnerLoss& loss) = 0;
};

/// While it lives, what is reported to the sink at `place` counts segments from `first` on: for a call that makes calls
/// with parts of its segments.
class SegmentsFrom final : public StatisticsSink {
 public:
  SegmentsFrom(StatisticsSink*& place, Index first) : place_(place), all_(place), first_(first) {
    if (all_) place_ = this;
  }
  SegmentsFrom(const SegmentsFrom&) = delete;
  SegmentsFrom& operator=(const SegmentsFrom&) = delete;
  ~SegmentsFrom() override { place_ = all_; }

  void inner_loss(const InnerLoss& loss) override {
    InnerLoss named = loss;
    named.segment += first_;
    all_->inner_loss(named);
  }

 private:
  StatisticsSink*& place_;
  StatisticsSink* all_;
  Index first_;
};

TTT_NAMESPACE_END
