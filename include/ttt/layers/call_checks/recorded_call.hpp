// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ttt/core/fingerprint.hpp"
#include "ttt/core/segment.hpp"

TTT_NAMESPACE_BEGIN

/// What a Record knows of the forward that filled it.
class RecordedCall {
 public:
  /// From now on the record has nothing, until `end`: the forward may be stopped.
  void begin() { layer_ = {}; }
  template <class State>
  void end(Fingerprint layer, std::span<const Segment<State>> segments) {
    layer_ = layer;
    rows_ = total_rows(segments);
    continues_.resize(segments.size());
    for (std::size_t i = 0; i < segments.size(); ++i) continues_[i] = ttt::continues(segments, i);
  }

  /// Nobody's while the record has nothing.
  Fingerprint layer() const { return layer_; }
  Index rows() const { return rows_; }
  std::size_t segments() const { return continues_.size(); }
  /// Whether segment i shares its State with the one before.
  bool continues(std::size_t i) const { return continues_[i] != 0; }

 private:
  Fingerprint layer_;
  Index rows_ = 0;
  std::vector<std::uint8_t> continues_;
};

TTT_NAMESPACE_END
