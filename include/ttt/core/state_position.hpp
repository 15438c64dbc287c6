// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// Tells a State, and the States it is made of, how many tokens it has read: visit() tells values only. A State keeps
/// the places to itself with a `set_position`, or shows them as a model's `blocks` and a block's `layer` do.
template <class State>
void set_position(State& state, std::int64_t position) {
  if constexpr (requires { state.set_position(position); }) {
    state.set_position(position);
  } else {
    state.position = position;
    if constexpr (requires { state.layer.position; }) set_position(state.layer, position);
    if constexpr (requires { state.blocks.front().position; })
      for (auto& block : state.blocks) set_position(block, position);
  }
}

TTT_NAMESPACE_END
