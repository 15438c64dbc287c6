// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "ttt/core/segment_plan.hpp"
#include "ttt/core/state.hpp"
#include "ttt/rules/attention/cache.hpp"

TTT_NAMESPACE_BEGIN

/// Adjacent segments of one State up to the next reset: rows of a call that see each other. Because the rows of a piece
/// are contiguous and the cache is written only when all queries are done, pieces need not wait for one another.
template <class Scalar>
struct AttentionPiece {
  State<Scalar>* state = nullptr;
  Index first_of_state = 0, end_segment = 0;  ///< first segment of the State in this call; one past the piece's last
  Index row = 0, rows = 0;                    ///< of the call
  Index position = 0;                         ///< of the first row
  Index prior = 0;                            ///< positions before it that its first row sees
  bool reset = false;                         ///< begins anew: nothing of the State is seen
  bool last = false;                          ///< no later piece shares the State
  Index first_tile = 0;                       ///< tiles of the pieces before
  bool alone = false;                         ///< no other piece shares the State
  rules::KeyValueCache<Scalar> entries{};     ///< where keys and values of its rows are during the call
  MatrixView<Scalar> prior_keys{}, prior_values{};  ///< copies of the `prior` positions, where a Record needs them

  Index end() const { return position + rows; }
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
    piece.prior = position == 0 ? 0 : position - shape.first_visible(position);
    piece.reset = plan[first].reset;
    piece.first_tile = tiles;
    do piece.rows += plan[i++].length;
    while (i < plan.size() && plan[i].continues && !plan[i].reset);
    piece.end_segment = static_cast<Index>(i);
    piece.last = i == plan.size() || !plan[i].continues;
    piece.alone = piece.last && first == first_of_state;
    tiles += (piece.rows + tile - 1) / tile;
    pieces[count] = piece;
  }
  return pieces.first(count);
}

TTT_NAMESPACE_END
