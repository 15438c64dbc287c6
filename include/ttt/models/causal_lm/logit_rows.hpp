// SPDX-License-Identifier: MIT
/// @file
/// The last row of each segment, taken out of all rows and put back: a prompt needs the logits of one row only.
#pragma once

#include <algorithm>
#include <span>

#include "ttt/core/segment.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Assigns the row of the last token of each segment; −1 for a segment without rows.
template <class State>
VectorView<const Index> last_rows(std::span<const Segment<State>> segments, VectorView<Index> rows) {
  Index end = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    end += segments[i].length;
    rows[static_cast<Index>(i)] = segments[i].length > 0 ? end - 1 : -1;
  }
  return rows;
}

/// The rows `chosen` of x, zeros for −1; x itself when `chosen` is empty.
template <class Scalar>
MatrixView<const Scalar> gather(MatrixView<const Scalar> x, VectorView<const Index> chosen, Arena& arena) {
  if (chosen.empty()) return x;
  const auto rows = arena.zeros<Scalar>(chosen.size(), x.columns());
  for (Index i = 0; i < chosen.size(); ++i)
    if (chosen[i] >= 0) std::copy_n(x.row(chosen[i]), x.columns(), rows.row(i));
  return rows;
}

/// Backward of `gather`: [count × C] with the rows of d_rows in their places, zeros elsewhere.
template <class Scalar>
MatrixView<Scalar> scatter(MatrixView<Scalar> d_rows, VectorView<const Index> chosen, Index count, Arena& arena) {
  if (chosen.empty()) return d_rows;
  const auto d_x = arena.zeros<Scalar>(count, d_rows.columns());
  for (Index i = 0; i < chosen.size(); ++i)
    if (chosen[i] >= 0) std::copy_n(d_rows.row(i), d_rows.columns(), d_x.row(chosen[i]));
  return d_x;
}

}  // namespace detail

TTT_NAMESPACE_END
