// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/state.hpp"
#include "ttt/core/state_position.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

namespace detail {

/// Throws Error unless visit() and set_position() tell all of `state`: a checkpoint that could not bring it back would
/// be found out too late.
template <class State>
void check_can_be_restored(State& state) {
  using Values = VectorView<typename State::Scalar>;
  State restored = state;
  restored.wipe();
  std::vector<Values> parts;
  state.visit([&](std::string_view, Values values) { parts.push_back(values); });
  auto part = parts.begin();
  restored.visit([&](std::string_view, Values values) {
    std::copy(part->begin(), part->end(), values.begin());
    ++part;
  });
  set_position(restored, state.position);
  if (!(restored == state))
    throw Error(
        "checkpoint: the model's State holds more than visit and set_position tell, so that it could not be "
        "restored; nothing was written");
}

}  // namespace detail

}  // namespace training

TTT_NAMESPACE_END
