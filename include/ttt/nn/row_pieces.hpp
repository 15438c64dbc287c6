// SPDX-License-Identifier: MIT
/// @file
/// How the rows of a call go through a chain of steps that need nothing of other rows but sums over them: in pieces, so
/// that what rows become at one step is still in the second-level cache of the same processor at the next.
///
///     in_rounds(rows, context, [&](Index first, Index count) {               one round after another
///       in_pieces(count, context, [&](Index row, Index size, Context& own) {   pieces of a round, in parallel
///         steps of rows [row, row + size) of the round, in `own`
///       });
///       sums over the rows of the round, in `context`
///     });
#pragma once

#include <algorithm>
#include <limits>

#include "ttt/core/context.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Fewer rows are not worth a worker.
inline constexpr Index rows_per_worker = 128;

namespace detail {

inline constexpr Index rows_per_piece = 192;

/// Length of equal parts of [0, rows), their number a multiple of `shares`, each a multiple of `grain` rows and none
/// longer than `most`, which is one.
inline Index equal_parts(Index rows, Index shares, Index most, Index grain) {
  const Index parts = ((rows - 1) / (most * shares) + 1) * shares;
  return ((rows + parts - 1) / parts + grain - 1) / grain * grain;
}

/// All rows in one piece if there are too few to share out, or if Context::large_products is to get them.
inline Index piece_length(Index rows, const Context& context) {
  constexpr Index grain = 16;
  const Index workers = context.workers();
  if (context.large_products || (workers > 1 && rows < rows_per_worker * workers)) return rows;
  return equal_parts(rows, workers, rows_per_piece, grain);
}

}  // namespace detail

/// Most rows of a round: a piece for a single worker, several for each of more, so that they seldom wait for one
/// another.
inline Index rows_of_round(const Context& context) {
  if (context.large_products) return std::numeric_limits<Index>::max();
  return detail::rows_per_piece * (context.workers() == 1 ? 1 : 4 * context.workers());
}

/// Runs `body(first, count)` on rows [0, rows) in rounds, one after another, each inside a Frame of the scratch.
template <class Body>
void in_rounds(Index rows, Context& context, Body&& body) {
  static_assert(detail::rows_per_piece % detail::rows_per_range == 0, "sums over rows must not depend on the rounds");
  const Index each = detail::equal_parts(rows, 1, rows_of_round(context), detail::rows_per_range);
  for (Index first = 0; first < rows; first += each) {
    const Arena::Frame frame(context.scratch());
    body(first, std::min(each, rows - first));
  }
}

/// Runs `body(first, count, own)` on rows [0, rows) in pieces, several at a time, each inside a Frame of the scratch of
/// `own`: the Context of one worker, or that of all if the rows are one piece.
template <class Body>
void in_pieces(Index rows, Context& context, Body&& body) {
  const Index each = detail::piece_length(rows, context);
  if (each < rows)
    return context.parallel_ranges(rows, each, [&](Index first, Index count, Arena& arena) {
      Context own = context.alone(arena);
      body(first, count, own);
    });
  const Arena::Frame frame(context.scratch());
  if (rows > 0) body(Index{0}, rows, context);
}

}  // namespace nn

TTT_NAMESPACE_END
