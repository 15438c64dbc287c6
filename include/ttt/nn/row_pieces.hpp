// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "ttt/core/context.hpp"
#include "ttt/nn/row_sums.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// Rows of a piece: so few that what they become at one step is still in the second-level cache at the next. Several
/// workers get more, for they wait for one another after every step, which at two threads and width 128 took a tenth of
/// the time with so few. Context::large_products wants many rows and gets all of them.
inline Index rows_of_piece(const Context& context) {
  constexpr Index alone = 192, shared = 768;
  static_assert(alone % detail::rows_per_range == 0 && shared % detail::rows_per_range == 0,
                "sums over rows must not depend on the pieces");
  if (context.large_products) return std::numeric_limits<Index>::max();
  return context.workers() == 1 ? alone : shared * context.workers();
}

/// Runs `body(first, count)` on rows [0, rows) in pieces, one after another, each inside a Frame of the scratch: for a
/// chain of steps that need nothing of other rows but sums over them.
template <class Body>
void in_pieces(Index rows, Context& context, Body&& body) {
  const Index most = rows_of_piece(context);
  for (Index first = 0; first < rows; first += most) {
    const Arena::Frame frame(context.scratch());
    body(first, std::min(most, rows - first));
  }
}

}  // namespace nn

TTT_NAMESPACE_END
