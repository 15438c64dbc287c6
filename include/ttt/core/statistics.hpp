// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// The inner loss ½‖f(k) − v‖² of one mini-batch of one head, averaged over its tokens: what the layer has learned.
struct InnerLoss {
  Index block = 0;               ///< block of the model
  Index segment = 0;             ///< segment of the call
  Index head = 0;                ///< head of the layer
  std::int64_t position = 0;     ///< position of the mini-batch's first token in its sequence
  Index tokens = 0;              ///< tokens the averages are over
  double at_initial = 0;         ///< with the learned W₀: no test-time training at all
  double before_update = 0;      ///< with the fast weights the mini-batch started with
  double after_update = 0;       ///< with the fast weights it left behind
};

/// Receives statistics in a fixed order, on the thread that made the call. Attach one to Context::statistics.
class StatisticsSink {
 public:
  virtual ~StatisticsSink() = default;
  virtual void inner_loss(const InnerLoss& loss) = 0;
};

TTT_NAMESPACE_END
