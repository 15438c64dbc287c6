// SPDX-License-Identifier: MIT
/// @file
/// What forward and backward of attention share: a tile of queries, blocks of keys, and the scores between them.
///
/// Scores lie with a key per row and a query of a head per column. So the heads that share keys are columns of one
/// product, the softmax runs along whole packs without sums across lanes, and no key or value is ever transposed.
/// Blocks of keys begin at multiples of `attention_key_block` of the absolute position, and every column is a chain of its
/// own over them: the bits of a query's output depend on its position, not on the queries it is computed with.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/matmul.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Window of attention that reaches back to the beginning.
inline constexpr Index unlimited_window = std::numeric_limits<Index>::max() / 4;

/// Keys of one block and queries (times heads) of one tile: multiples of every register tile of `matmul`, small enough
/// that a block of scores stays in the second-level cache.
inline constexpr Index attention_key_block = 96;
inline constexpr Index attention_tile_columns = 96;

/// One key/value head and the query heads that use it.
struct AttentionShape {
  Index head_width = 0;             ///< D
  Index group = 1;                  ///< query heads per key/value head, G
  Index window = unlimited_window;  ///< query i sees keys j with i − window < j ≤ i

  /// Tokens of one tile: what a task should take a multiple of.
  Index tile_tokens() const { return std::max<Index>(1, attention_tile_columns / group); }
  /// First position that a query at `position` sees.
  Index first_visible(Index position) const { return position < window ? 0 : position - window + 1; }
};

/// Keys and values of consecutive positions of one head, [n × D] each, wherever they lie: in a cache, in the call.
/// The backward adds into the gradients; empty ones are not wanted.
template <class Scalar>
struct KeyValueRows {
  Index first = 0;  ///< position of row 0
  MatrixView<const Scalar> keys, values;
  MatrixView<Scalar> d_keys, d_values;

  Index end() const { return first + keys.rows(); }
};

/// Everything that the queries of a call may see, in order of position.
template <class Scalar>
using KeyValueParts = std::span<const KeyValueRows<Scalar>>;

namespace detail {

/// Positions [first, end) of one block of keys.
struct KeyBlock {
  Index first, end;
  Index size() const { return end - first; }
};

/// Queries of consecutive positions and all heads of the group: column token · G + head.
template <class Scalar, class Arch>
struct QueryTile {
  static constexpr Index pack = simd::Pack<Scalar, Arch>::size;

  QueryTile(const AttentionShape& attention, Index first_position, Index count)
      : shape(attention), position(first_position), tokens(count), columns(count * attention.group),
        padded((columns + pack - 1) / pack * pack) {}

  AttentionShape shape;
  Index position, tokens;
  Index columns;  ///< tokens · G
  Index padded;   ///< columns in memory, whole packs; those beyond `columns` hold finite numbers of no meaning

  Index end() const { return position + tokens; }
  /// First column whose query is at `at` or later.
  Index column_from(Index at) const { return std::clamp<Index>(at - position, 0, tokens) * shape.group; }
  const Scalar* row(MatrixView<const Scalar> x, Index column) const {
    return x.row(column / shape.group) + column % shape.group * shape.head_width;
  }
  Scalar* row(MatrixView<Scalar> x, Index column) const {
    return x.row(column / shape.group) + column % shape.group * shape.head_width;
  }

  /// The blocks of keys that any query of the tile sees, in order.
  template <class Body>
  void for_each_block(Body&& body) const {
    for (Index at = shape.first_visible(position); at < end();) {
      const Index next = std::min((at / attention_key_block + 1) * attention_key_block, end());
      body(KeyBlock{at, next});
      at = next;
    }
  }

  /// Makes the scores that the mask forbids so low that their exponential is 0.
  void mask(KeyBlock block, MatrixView<Scalar> scores) const {
    const bool sees_last = position >= block.end - 1, reaches_first = shape.first_visible(end() - 1) <= block.first;
    if (sees_last && reaches_first) return;
    for (Index key = block.first; key < block.end; ++key) {
      Scalar* row = scores.row(key - block.first);
      std::fill(row, row + column_from(key), std::numeric_limits<Scalar>::lowest());
      std::fill(row + column_from(key + shape.window), row + columns, std::numeric_limits<Scalar>::lowest());
    }
  }
};

/// Calls `body(part, row, offset, count)` for each piece of `block` that lies in one part: rows [row, row + count) of the
/// part are rows [offset, offset + count) of the block.
template <class Scalar, class Body>
void for_each_run(KeyValueParts<Scalar> parts, KeyBlock block, Body&& body) {
  for (const auto& part : parts) {
    const Index from = std::max(block.first, part.first), to = std::min(block.end, part.end());
    if (from < to) body(part, from - part.first, from - block.first, to - from);
  }
}

/// factor · x as [D × padded], a query per column.
template <class Arch, class Scalar>
MatrixView<Scalar> transposed_tile(const QueryTile<Scalar, Arch>& tile, MatrixView<const Scalar> x, Scalar factor,
                                   Arena& scratch) {
  const auto to = scratch.matrix<Scalar>(tile.shape.head_width, tile.padded);
  for (Index c = 0; c < tile.columns; ++c) {
    const Scalar* from = tile.row(x, c);
    for (Index d = 0; d < to.rows(); ++d) to(d, c) = factor * from[d];
  }
  for (Index d = 0; d < to.rows(); ++d) std::fill(to.row(d) + tile.columns, to.row(d) + tile.padded, Scalar(0));
  return to;
}

/// scores [block × padded] = rows · columns, rows being the keys or the values of the block.
template <class Arch, class Scalar>
void block_product(KeyValueParts<Scalar> parts, KeyBlock block, MatrixView<const Scalar> KeyValueRows<Scalar>::*rows,
                   MatrixView<Scalar> columns, MatrixView<Scalar> scores) {
  for_each_run(parts, block, [&](const KeyValueRows<Scalar>& part, Index row, Index offset, Index count) {
    kernels::matmul<Arch>((part.*rows).rows(row, count), columns, scores.rows(offset, count));
  });
}

/// 1 / √D, by which scores are scaled; it is folded into the queries.
template <class Scalar>
Scalar score_scale(const AttentionShape& shape) {
  using std::sqrt;
  return Scalar(1) / sqrt(static_cast<Scalar>(shape.head_width));
}

/// e^x, exactly 0 below the range of the exponential: a masked score weighs nothing.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> weight_of(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  return simd::select(x < P(kernels::detail::ExpConstants<Scalar>::smallest), P(Scalar(0)), kernels::exp(x));
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
