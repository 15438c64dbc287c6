// SPDX-License-Identifier: MIT
/// @file
/// A model hands its segments on to its blocks, a block to its layer: the same lengths, a part of each State. The
/// position of the whole is the one that counts: the parts are told it before every call, so that a State can be
/// brought back from what `visit` and `position` tell.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "ttt/core/segment.hpp"
#include "ttt/core/state.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// `count` default values in an arena.
template <class Value>
std::span<Value> make_span(Arena& arena, std::size_t count) {
  const std::span<Value> values(arena.allocate<Value>(static_cast<Index>(count)), count);
  std::uninitialized_value_construct(values.begin(), values.end());
  return values;
}

}  // namespace detail

/// The segments of `part(state)` of every State: a pointer to member, or a function giving a reference. They live in
/// `arena`, so that decoding allocates nothing.
template <class State, class Part>
auto segments_of_part(std::span<const Segment<State>> segments, Arena& arena, Part part) {
  using Inner = std::remove_reference_t<decltype(std::invoke(part, std::declval<State&>()))>;
  const auto inner = detail::make_span<Segment<Inner>>(arena, segments.size());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    inner[i] = {segments[i].length, &std::invoke(part, *segments[i].state), segments[i].reset};
    inner[i].state->position = segments[i].state->position;
  }
  return std::span<const Segment<Inner>>(inner);
}

/// The same of gradients of states; null stays null.
template <class State, class Part>
auto states_of_part(std::span<State* const> states, Arena& arena, Part part) {
  using Inner = std::remove_reference_t<decltype(std::invoke(part, std::declval<State&>()))>;
  const auto inner = detail::make_span<Inner*>(arena, states.size());
  for (std::size_t i = 0; i < states.size(); ++i) inner[i] = states[i] ? &std::invoke(part, *states[i]) : nullptr;
  return std::span<Inner* const>(inner);
}

/// Advances the position of every State by its segments.
template <class State>
void advance_positions(std::span<const Segment<State>> segments) {
  for (const auto& segment : segments)
    segment.state->position = (segment.reset ? 0 : std::int64_t{segment.state->position}) + segment.length;
}

/// Equality of parts of two States of the same position; their own may be behind.
template <class Part>
bool equal_parts(const Part& a, const Part& b) {
  if (a.position == b.position) return a == b;
  Part other = b;
  other.position = a.position;
  return a == other;
}

/// Visits a part of a State, its names behind `prefix`.
template <class Scalar, class Part>
void visit_part(StateVisitor<Scalar> visitor, std::string_view prefix, Part& part) {
  part.visit([&](std::string_view name, VectorView<Scalar> values) {
    visitor(std::string(prefix) + std::string(name), values);
  });
}

TTT_NAMESPACE_END
