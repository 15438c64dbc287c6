// SPDX-License-Identifier: MIT
/// @file
/// A model hands its segments on to its blocks, a block to its layer: the same lengths, a part of each State, lent for
/// the call. Only the whole knows the position: what the parts do to theirs ends with the call.
#pragma once

#include <memory>
#include <span>

#include "ttt/core/segment.hpp"
#include "ttt/core/state.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// The place of a lent State in an arena. It owns nothing, so that nothing is lost when it is given back undestroyed.
template <class State>
State* lend_in(Arena& arena, State& whole, std::size_t part) {
  auto* const place = arena.allocate<std::byte>(static_cast<Index>(sizeof(State)));
  return std::construct_at(reinterpret_cast<State*>(place), whole.lend(part));
}

}  // namespace detail

/// The segments of inner layout `part` of every State. They live in `arena`, so that decoding allocates nothing.
template <class State>
std::span<const Segment<State>> lend(std::span<const Segment<State>> segments, std::size_t part, Arena& arena) {
  auto* const inner = arena.allocate<Segment<State>>(static_cast<Index>(segments.size()));
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto& [length, state, reset] = segments[i];
    State* const lent = continues(segments, i) ? inner[i - 1].state : detail::lend_in(arena, *state, part);
    std::construct_at(inner + i, Segment<State>{length, lent, reset});
  }
  return {inner, segments.size()};
}

/// The same of gradients of States, of which no other one lies between equal ones; null stays null.
template <class State>
std::span<State* const> lend(std::span<State* const> d_states, std::size_t part, Arena& arena) {
  auto** const inner = arena.allocate<State*>(static_cast<Index>(d_states.size()));
  State *whole = nullptr, *lent = nullptr;
  for (std::size_t i = 0; i < d_states.size(); ++i) {
    if (d_states[i] && d_states[i] != whole) whole = d_states[i], lent = detail::lend_in(arena, *whole, part);
    inner[i] = d_states[i] ? lent : nullptr;
  }
  return {inner, d_states.size()};
}

/// Advances the position of every State by its segments.
template <class State>
void advance_positions(std::span<const Segment<State>> segments) {
  for (const auto& segment : segments)
    segment.state->position = (segment.reset ? 0 : std::int64_t{segment.state->position}) + segment.length;
}

TTT_NAMESPACE_END
