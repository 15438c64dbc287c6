// SPDX-License-Identifier: MIT
/// @file
/// What forward and backward of attention share: a tile of queries, blocks of keys, and which of them see each other.
///
/// Scores lie with a query per row and a key per lane. Blocks of keys begin at multiples of their size of the
/// absolute position, and every row is a chain of its own over them: the bits of a query's output depend on its
/// position, not on the queries it is computed with. Rows go in groups of a register tile; what a whole group cannot
/// see is skipped.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/attention/product.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Window of attention that reaches back to the beginning.
inline constexpr Index unlimited_window = std::numeric_limits<Index>::max() / 4;

/// Queries (times heads) of a tile, whole register tiles, and keys of a block, whole panels. Longer blocks load and
/// store the outputs of a tile less often; more rows read the keys and values of a block less often.
struct AttentionTiling {
  Index rows, keys;
};
/// Keys and values of a block and the scores of a tile stay in the second-level cache; in the backward, which holds
/// twice as much of both, too.
inline constexpr AttentionTiling forward_tiling{48, 384}, backward_tiling{96, 192};
static_assert(forward_tiling.keys % key_panel == 0 && backward_tiling.keys % key_panel == 0);

/// One key/value head and the query heads that use it.
struct AttentionShape {
  Index head_width = 0;             ///< D
  Index group = 1;                  ///< query heads per key/value head, G
  Index window = unlimited_window;  ///< query i sees the keys j ≤ i with j > i − window …
  Index sinks = 0;                  ///< … or j < sinks
  double score_scale = 0;           ///< what scores are times; 0: 1 / √D

  /// Tokens of one tile.
  Index tokens_of(AttentionTiling tiling) const { return std::max<Index>(1, tiling.rows / group); }
  /// First position in the window of a query at `position`.
  Index first_visible(Index position) const { return position < window ? 0 : position - window + 1; }
  /// What queries [position, end) see of the sinks, and of the keys behind them.
  std::array<KeyRange, 2> seen(Index position, Index end) const {
    return {KeyRange{0, std::min(sinks, end)}, KeyRange{std::min(std::max(sinks, first_visible(position)), end), end}};
  }
};

namespace detail {

/// Queries of consecutive positions and all heads of the group, row token · G + head, and keys: sinks alone or what is
/// behind them, so that a row sees one range of them.
struct QueryTile {
  AttentionShape shape;
  Index position, tokens;
  KeyRange keys{};

  Index rows() const { return tokens * shape.group; }
  Index end() const { return position + tokens; }
  /// Most heads have keys of their own, and a division takes as long as several products of packs.
  Index token_of(Index row) const { return shape.group == 1 ? row : row / shape.group; }
  Index position_of(Index row) const { return position + token_of(row); }
  KeyRange seen(Index row) const {
    return KeyRange{shape.first_visible(position_of(row)), position_of(row) + 1}.within(keys);
  }
  /// What any of `count` rows sees.
  KeyRange seen(Index row, Index count) const { return {seen(row).first, seen(row + count - 1).end}; }
  /// The same queries before other keys, all of them sinks or none.
  QueryTile before(KeyRange others) const {
    QueryTile tile{shape, position, tokens, others.within({0, end()})};
    if (others.end <= shape.sinks) tile.shape.window = unlimited_window;
    return tile;
  }
  /// The row at x [tokens × G·D] of a row of the tile.
  template <class Scalar>
  Scalar* row(MatrixView<Scalar> x, Index row) const {
    const Index token = token_of(row);
    return x.row(token) + (row - token * shape.group) * shape.head_width;
  }

  /// The rows that see the one of the keys at a position, which may be outside of the tile.
  KeyRange seeing(Index key) const {
    const Index token = key - position;
    return {std::max<Index>(token, 0) * shape.group, std::min(token + shape.window, tokens) * shape.group};
  }
  /// The keys that some of its queries see and some do not: those at either end.
  std::array<KeyRange, 2> partly_seen() const {
    return {KeyRange{seen(0).first, seen(rows() - 1).first},
            KeyRange{std::max(seen(0).end, keys.first), seen(rows() - 1).end}};
  }

  /// The blocks of `size` keys that any query of the tile sees, in order, counted from position `origin`.
  template <class Body>
  void for_each_block(Index size, Index origin, Body&& body) const {
    const Index seen_first = seen(0).first - origin;
    for (Index at = origin + seen_first - seen_first % size; at < keys.end; at += size)
      body(KeyRange{at, std::min(at + size, keys.end)});
  }

  /// Calls `body(first_row, count, range)` for each group of rows and what it sees of the block, if anything.
  template <class Body>
  void for_each_group(Index size, KeyRange block, Body&& body) const {
    for (Index row = 0; row < rows(); row += size) {
      const Index count = std::min(size, rows() - row);
      if (const KeyRange range = seen(row, count).within(block); !range.empty()) body(row, count, range);
    }
  }

  /// Calls `body(from, to)` for the strips of `key_panel` columns of [first, end), which stay in the first-level cache
  /// while the groups of rows pass; all at once when there is one group.
  template <class Arch, class Body>
  void for_each_strip(Index first, Index end, Body&& body) const {
    const Index step = rows() > tile_rows ? key_panel : end - first;
    for (Index at = first; at < end; at += step) body(at, std::min(at + step, end));
  }

  /// Fills what the mask hides, whatever it was: of rows from `row` on, of the keys of `lanes`.
  template <class Scalar>
  void fill_unseen(Index row, KeyRange lanes, MatrixView<Scalar> of, Scalar value) const {
    if (seen(row).end >= lanes.end && seen(row + of.rows() - 1).first <= lanes.first) return;
    for (Index r = 0; r < of.rows(); ++r) {
      const KeyRange visible = seen(row + r);
      Scalar* const at = of.row(r);
      for (Index key = lanes.first; key < std::min(visible.first, lanes.end); ++key) at[key - lanes.first] = value;
      for (Index key = std::max(visible.end, lanes.first); key < lanes.end; ++key) at[key - lanes.first] = value;
    }
  }
};

/// Whether x [n × D] holds neither NaN nor infinities: in packs, because compilers leave `find_not_finite` scalar,
/// which took 4 % of attention.
template <class Arch, class Scalar>
bool all_finite(MatrixView<const Scalar> x) {
  Scalar sum(0);
  for (Index r = 0; r < x.rows(); ++r)
    sum += simd::sum_packs<Scalar, Arch>(
        x.columns(), [&]<class P>(P, Index d) TTT_INLINE_LAMBDA { return P::load(x.row(r) + d) * P(Scalar(0)); });
  return sum == 0;
}

/// factor · x as [rows × D].
template <class Arch, class Scalar>
MatrixView<Scalar> packed_rows(const QueryTile& tile, MatrixView<const Scalar> x, Scalar factor, Arena& scratch) {
  const auto to = scratch.matrix<Scalar>(tile.rows(), tile.shape.head_width);
  for (Index r = 0; r < to.rows(); ++r) kernels::scale<Arch>(factor, tile.row(x, r), to.columns(), to.row(r));
  return to;
}

/// What scores are times; it is folded into the queries.
template <class Scalar>
Scalar score_scale(const AttentionShape& shape) {
  using std::sqrt;
  if (shape.score_scale != 0) return static_cast<Scalar>(shape.score_scale);
  return Scalar(1) / sqrt(static_cast<Scalar>(shape.head_width));
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
