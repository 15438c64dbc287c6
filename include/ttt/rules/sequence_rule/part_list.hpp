// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Rows [first, first + count) of the mini-batch that is open: what one call contributes to it.
struct MiniBatchPart {
  Index first = 0;
  Index count = 0;
  Index end() const { return first + count; }
};

/// The parts of mini-batches into which a piece of `length` tokens falls that begins at `position`.
class PartList {
 public:
  PartList(std::int64_t position, Index length, Index mini_batch)
      : phase_(static_cast<Index>(position % mini_batch)), length_(length), mini_batch_(mini_batch) {}

  Index rows() const { return length_; }
  Index size() const { return length_ == 0 ? 0 : (phase_ + length_ + mini_batch_ - 1) / mini_batch_; }
  MiniBatchPart operator[](Index i) const {
    const Index begin = i == 0 ? phase_ : 0, end = std::min(mini_batch_, phase_ + length_ - i * mini_batch_);
    return {begin, end - begin};
  }
  /// Row of the piece where part i starts.
  Index row(Index i) const { return i == 0 ? 0 : i * mini_batch_ - phase_; }

 private:
  Index phase_, length_, mini_batch_;
};

}  // namespace rules

TTT_NAMESPACE_END
