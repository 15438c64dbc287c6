// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "ttt/core/segment_plan.hpp"
#include "ttt/core/state.hpp"
#include "ttt/rules/attention/cache.hpp"

TTT_NAMESPACE_BEGIN

/// Keys of a piece that each of its rows sees a part of, without gaps: sinks, or what is behind them.
template <class Scalar>
struct SeenKeys {
  rules::KeyRange prior, own;                       ///< those before the piece, in its State; those of its rows
  MatrixView<Scalar> prior_keys{}, prior_values{};  ///< copies of the former, where a Record needs them

  SeenKeys() = default;
  SeenKeys(rules::KeyRange range, Index position) {
    const Index border = std::clamp(position, range.first, range.end);
    prior = {range.first, border};
    own = {border, range.end};
  }
  rules::KeyRange range() const { return {prior.first, own.end}; }
};

/// Adjacent segments of one State up to the next reset: rows of a call that see each other. Because the rows of a piece
/// are contiguous and the cache is written only when all queries are done, pieces need not wait for one another.
template <class Scalar>
struct AttentionPiece {
  State<Scalar>* state = nullptr;
  Index first_of_state = 0, end_segment = 0;  ///< first segment of the State in this call; one past the piece's last
  Index row = 0, rows = 0;                    ///< of the call
  Index position = 0;                         ///< of the first row
  std::array<SeenKeys<Scalar>, 2> seen{};     ///< sinks, the others
  bool reset = false;                         ///< begins anew: nothing of the State is seen
  bool last = false;                          ///< no later piece shares the State
  Index first_tile = 0;                       ///< tiles of the pieces before
  bool alone = false;                         ///< no other piece shares the State
  rules::KeyValueCache<Scalar> entries{};     ///< where keys and values of its rows are during the call

  Index end() const { return position + rows; }
  /// The rows of x, a row for each of the call's, that have these positions.
  MatrixView<Scalar> rows_of(MatrixView<Scalar> x, rules::KeyRange range) const {
    return x.rows(row + range.first - position, range.size());
  }
};

/// The pieces of a planned call, in `pieces`, which are as many as there are segments.
template <class Scalar>
std::span<AttentionPiece<Scalar>> plan_pieces(std::span<const Segment<State<Scalar>>> segments, SegmentPlan plan,
                                              const rules::AttentionShape& shape,
                                              std::span<AttentionPiece<Scalar>> pieces) {
  const Index tile = shape.tokens_of(rules::forward_tiling);
  std::size_t count = 0, first_of_state = 0;
  Index tiles = 0;
  for (std::size_t i = 0; i < plan.size(); ++count) {
    const std::size_t first = i;
    if (!plan[first].continues) first_of_state = first;
    const auto position = static_cast<Index>(plan[first].position);
    AttentionPiece<Scalar> piece{segments[first].state, static_cast<Index>(first_of_state), 0, plan[first].row};
    piece.position = position;
    piece.reset = plan[first].reset;
    piece.first_tile = tiles;
    do piece.rows += plan[i++].length;
    while (i < plan.size() && plan[i].continues && !plan[i].reset);
    const auto seen = shape.seen(position, piece.end());
    for (std::size_t part = 0; part < seen.size(); ++part) piece.seen[part] = {seen[part], position};
    piece.end_segment = static_cast<Index>(i);
    piece.last = i == plan.size() || !plan[i].continues;
    piece.alone = piece.last && first == first_of_state;
    tiles += (piece.rows + tile - 1) / tile;
    pieces[count] = piece;
  }
  return pieces.first(count);
}

TTT_NAMESPACE_END
