// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ttt/core/state.hpp"

namespace ttt::testing {

/// A State of the shape that a model's has, one row of so many values beside one of two for each block, without the
/// model.
template <class Scalar>
State<Scalar> nested_state(const std::vector<Index>& sizes) {
  StateLayout model(Fingerprint("blocks", {}));
  for (std::size_t b = 0; b < sizes.size(); ++b) {
    StateLayout layer(Fingerprint("layer", {}));
    layer.add(2, {{"values", StateKind::fast_weights, sizes[b]}, {"open", StateKind::open_mini_batch, 1}});
    model.add("blocks." + std::to_string(b) + ".layer.", std::make_shared<const StateLayout>(layer));
  }
  State<Scalar> state(std::make_shared<const StateLayout>(model));
  state.position = 0;
  return state;
}

}  // namespace ttt::testing
