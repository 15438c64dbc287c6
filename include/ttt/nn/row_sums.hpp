// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>

#include "ttt/core/context.hpp"
#include "ttt/core/tensor.hpp"

TTT_NAMESPACE_BEGIN

namespace nn::detail {

/// Rows per task of row-wise work, the same for any number of workers.
inline constexpr Index rows_per_range = 64;

/// Runs `task(first, count, sums, arena)` over ranges of rows in parallel, each with its own zeroed `sums` [width], and
/// adds these into `total` [width] in the order of the ranges: the bits of a sum over rows do not depend on threads.
template <class Scalar, class Task>
void sum_over_rows(Index rows, VectorView<Scalar> total, Context& context, Task&& task) {
  const Arena::Frame frame(context.scratch());
  const Index ranges = (rows + rows_per_range - 1) / rows_per_range;
  const auto partial = context.scratch().template zeros<Scalar>(ranges, total.size());
  context.parallel_ranges(rows, rows_per_range, [&](Index first, Index count, Arena& arena) {
    task(first, count, VectorView<Scalar>(partial.row(first / rows_per_range), total.size()), arena);
  });
  for (Index range = 0; range < ranges; ++range)
    for (Index i = 0; i < total.size(); ++i) total[i] += partial(range, i);
}

/// The same for gradients that accumulate: `task(first, count, sums, arena)` gets memory for those of each, null for
/// one that is not wanted.
template <class Scalar, std::size_t count, class Task>
void sum_gradients(Index rows, const std::array<Tensor<Scalar>*, count>& gradients, Context& context, Task&& task) {
  const Arena::Frame frame(context.scratch());
  std::array<Index, count + 1> begin{};
  for (std::size_t i = 0; i < count; ++i) begin[i + 1] = begin[i] + (gradients[i]->empty() ? 0 : gradients[i]->size());
  const VectorView<Scalar> total = context.scratch().template vector<Scalar>(begin[count]);
  for (std::size_t i = 0; i < count; ++i)
    std::copy_n(gradients[i]->data(), begin[i + 1] - begin[i], total.data() + begin[i]);
  sum_over_rows(rows, total, context, [&](Index first, Index size, VectorView<Scalar> all, Arena& arena) {
    std::array<Scalar*, count> sums;
    for (std::size_t i = 0; i < count; ++i) sums[i] = gradients[i]->empty() ? nullptr : all.data() + begin[i];
    task(first, size, sums, arena);
  });
  for (std::size_t i = 0; i < count; ++i)
    std::copy_n(total.data() + begin[i], begin[i + 1] - begin[i], gradients[i]->data());
}

/// Runs `backward(d_row, r)` for rows [first, first + count), which assigns d_row [C]; the row lands in d_x as
/// `accumulate` says. An empty `d_x` passes null.
template <class Scalar, class Backward>
void write_rows(Index first, Index count, MatrixView<Scalar> d_x, bool accumulate, Arena& arena, Backward&& backward) {
  Scalar* const row = accumulate && !d_x.empty() ? arena.allocate<Scalar>(d_x.columns()) : nullptr;
  for (Index r = first; r < first + count; ++r) {
    backward(row != nullptr || d_x.empty() ? row : d_x.row(r), r);
    if (row != nullptr)
      for (Index c = 0; c < d_x.columns(); ++c) d_x(r, c) += row[c];
  }
}

}  // namespace nn::detail

TTT_NAMESPACE_END
