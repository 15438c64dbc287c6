// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// A run of consecutive rows of one call that belong to one sequence: a whole training row, a document packed into one,
/// a prompt, or one decoded token. Rows of a call are its segments one after another.
///
/// `state` is read, advanced by `length` tokens and never null. With `reset` the sequence starts anew from the learned
/// initial state, whatever `state` holds, and gradients of the initial state go to the parameters it was learned in.
/// Segments that share a State are adjacent (others are an Error): they are pieces (or documents) of one stream, in
/// order.
template <class State>
struct Segment {
  Index length = 0;
  State* state = nullptr;
  bool reset = false;
};

/// Rows of all segments together.
template <class State>
Index total_rows(std::span<const Segment<State>> segments) {
  Index rows = 0;
  for (const auto& segment : segments) rows += segment.length;
  return rows;
}

/// Whether segment i shares its State with the one before: it goes on where that one ends.
template <class State>
bool continues(std::span<const Segment<State>> segments, std::size_t i) {
  return i > 0 && segments[i].state == segments[i - 1].state;
}

TTT_NAMESPACE_END
