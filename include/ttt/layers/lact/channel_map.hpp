// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/layers/lact/parameters.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Scale and offset of fast queries (0) or keys (1), which lie in turn in the published tensors, one after the other.
template <class Scalar>
struct ChannelMap {
  VectorView<const Scalar> scale, offset;

  ChannelMap(const LactParameters<Scalar>& parameters, Index which, Arena& memory) {
    const Index width = parameters.scale.shape()[0];
    const auto pick = [&](const Tensor<Scalar>& from) {
      const auto to = memory.vector<Scalar>(width);
      for (Index c = 0; c < width; ++c) to[c] = from.data()[2 * c + which];
      return to;
    };
    scale = pick(parameters.scale);
    offset = pick(parameters.offset);
  }
};

}  // namespace detail

TTT_NAMESPACE_END
