// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "ttt/core/context.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Rows of a piece, for each worker: what they become at one step is then still in its second-level cache at the next.
inline constexpr Index rows_per_piece = 192;
static_assert(rows_per_piece % detail::rows_per_range == 0, "sums over rows must not depend on the pieces");

/// Runs `body(first, count)` on rows [0, rows) in pieces, one after another, each inside a Frame of the scratch: for a
/// chain of steps that need nothing of other rows but sums over them. One piece with Context::large_products, which
/// wants many rows.
template <class Body>
void in_pieces(Index rows, Context& context, Body&& body) {
  const Index most = context.large_products ? std::max<Index>(rows, 1) : rows_per_piece * context.workers();
  for (Index first = 0; first < rows; first += most) {
    const Arena::Frame frame(context.scratch());
    body(first, std::min(most, rows - first));
  }
}

}  // namespace nn

TTT_NAMESPACE_END
