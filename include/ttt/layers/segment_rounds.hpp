// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/core/segment.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

/// Rows [row, row + count) of a call, which could be a call of their own: segments, of which the first may be the rest
/// of one and the last its beginning.
template <class State>
struct SegmentRound {
  std::span<const Segment<State>> segments;
  Index row = 0, count = 0;
  std::size_t first = 0;  ///< segment of the call that the first one is of
  Index offset = 0;       ///< tokens of that in rounds before

  /// Tokens of the i-th segment that came before.
  Index before(std::size_t i) const { return i == 0 ? offset : 0; }
};

namespace detail {

/// Tokens of a segment of which so many are left, where there is room for so many rows.
inline Index tokens_of_round(Index left, Index room, Index grain) {
  if (left <= room) return left;
  if (room <= 0) return 0;
  const Index cut = room / grain * grain;
  return left - cut < grain ? left : cut;
}

}  // namespace detail

/// Runs `body(round)` for the rows of a call, round by round: so that what becomes of the rows at one step of a layer
/// is still in a cache at the next. A round has `most` rows, at least `grain`, or less than `grain` more. Segments are
/// cut at multiples of `grain` tokens from their first one, none so that less than `grain` are left: where a layer has
/// the same bits for such pieces, it has them for any `most`.
template <class State, class Body>
void in_segment_rounds(std::span<const Segment<State>> segments, Index most, Index grain, Arena& scratch, Body&& body) {
  const Arena::Frame frame(scratch);
  auto* const parts = scratch.allocate<Segment<State>>(static_cast<Index>(segments.size()));
  SegmentRound<State> round;
  std::size_t count = 0;
  const auto end_round = [&] {
    round.segments = {parts, count};
    body(round);
    round.row += round.count;
    round.count = 0;
    count = 0;
  };
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto& [length, state, reset] = segments[i];
    for (Index offset = 0, tokens = 0;; offset += tokens) {
      tokens = detail::tokens_of_round(length - offset, most - round.count, grain);
      if (tokens > 0 || length == 0) {
        if (count == 0) round.first = i, round.offset = offset;
        parts[count++] = {tokens, state, reset && offset == 0};
        round.count += tokens;
      }
      if (offset + tokens == length) break;
      end_round();
    }
  }
  if (count > 0) end_round();
}

TTT_NAMESPACE_END
