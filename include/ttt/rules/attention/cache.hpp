// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>

#include "ttt/core/segment.hpp"
#include "ttt/core/state.hpp"
#include "ttt/rules/attention/tile.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Keys and values of a sequence in the memory of a State: first the keys, then the values, each head's rows in one
/// stretch, so that decoding streams through them. The row of a position is position mod rows: a cache that grows never
/// wraps, a ring does. Keys are rotated already.
template <class Element>
class KeyValueCache {
 public:
  KeyValueCache() = default;
  KeyValueCache(Element* data, Index rows, Index heads, Index head_width)
      : data_(data), rows_(rows), heads_(heads), width_(head_width) {}

  static Index size(Index rows, Index heads, Index head_width) { return 2 * rows * heads * head_width; }

  bool empty() const { return data_ == nullptr; }
  Index rows() const { return rows_; }
  Index heads() const { return heads_; }
  MatrixView<Element> keys(Index head) const { return {data_ + head * rows_ * width_, rows_, width_}; }
  MatrixView<Element> values(Index head) const { return keys(heads_ + head); }

  /// Calls `body(row, position, count)` for each stretch of rows that holds positions [first, end), at most `rows()`.
  template <class Body>
  void for_each_stretch(Index first, Index end, Body&& body) const {
    TTT_ASSERT(end - first <= rows_, "a cache holds no more positions than it has rows");
    while (first < end) {
      const Index row = first % rows_, count = std::min(end - first, rows_ - row);
      body(row, first, count);
      first += count;
    }
  }
  /// First of the positions before `end` that a cache which has seen `tokens` of them still holds.
  Index first_held(Index end, Index tokens) const { return end - std::min(tokens, rows_); }

 private:
  Element* data_ = nullptr;
  Index rows_ = 0, heads_ = 0, width_ = 0;
};

/// Zeroes the rows of positions [first, end).
template <class Scalar>
void clear_positions(const KeyValueCache<Scalar>& cache, Index first, Index end) {
  cache.for_each_stretch(first, end, [&](Index row, Index, Index count) {
    for (Index head = 0; head < cache.heads(); ++head) {
      fill(cache.keys(head).rows(row, count), Scalar(0));
      fill(cache.values(head).rows(row, count), Scalar(0));
    }
  });
}

/// Writes keys and values [n × heads · D] of positions position, position + 1, …; of more rows than the cache has, the last.
template <class Scalar>
void write_cache(const KeyValueCache<Scalar>& cache, Index position, MatrixView<const std::type_identity_t<Scalar>> keys,
                 MatrixView<const std::type_identity_t<Scalar>> values) {
  const Index end = position + keys.rows();
  cache.for_each_stretch(cache.first_held(end, keys.rows()), end, [&](Index row, Index at, Index count) {
    for (Index head = 0; head < cache.heads(); ++head) {
      const auto to_keys = cache.keys(head).rows(row, count), to_values = cache.values(head).rows(row, count);
      copy(keys.rows(at - position, count).columns(head * to_keys.columns(), to_keys.columns()), to_keys);
      copy(values.rows(at - position, count).columns(head * to_keys.columns(), to_keys.columns()), to_values);
    }
  });
}

/// The reverse: what the cache holds of those positions goes to keys and values; rows it no longer holds are untouched.
template <class Scalar>
void read_cache(const KeyValueCache<const Scalar>& cache, Index position, MatrixView<Scalar> keys,
                MatrixView<Scalar> values) {
  const Index end = position + keys.rows();
  cache.for_each_stretch(cache.first_held(end, keys.rows()), end, [&](Index row, Index at, Index count) {
    for (Index head = 0; head < cache.heads(); ++head) {
      const auto from_keys = cache.keys(head).rows(row, count), from_values = cache.values(head).rows(row, count);
      copy(from_keys, keys.rows(at - position, count).columns(head * from_keys.columns(), from_keys.columns()));
      copy(from_values, values.rows(at - position, count).columns(head * from_keys.columns(), from_keys.columns()));
    }
  });
}

/// Adjacent segments of one State up to the next reset: rows of a call that see each other. Because the rows of a piece
/// are contiguous and the cache is written only when all queries are done, pieces need not wait for one another.
template <class Scalar>
struct AttentionPiece {
  BufferState<Scalar>* state = nullptr;
  Index first_of_state = 0, end_segment = 0;  ///< first segment of the State in this call; one past the piece's last
  Index row = 0, rows = 0;                    ///< of the call
  Index position = 0;                         ///< of the first row
  Index prior = 0;                            ///< positions before it that its first row sees
  bool reset = false;                         ///< begins anew: nothing of the State is seen
  bool last = false;                          ///< no later piece shares the State
  Index first_tile = 0;                       ///< tiles of the pieces before
  Scalar* prior_rows = nullptr;               ///< a copy of the `prior` positions, where a Record needs it

  Index end() const { return position + rows; }
};

/// The pieces of a call, in memory for as many as there are segments.
template <class Scalar>
std::span<AttentionPiece<Scalar>> plan_pieces(std::span<const Segment<BufferState<Scalar>>> segments,
                                              const AttentionShape& shape, Arena& memory) {
  const auto count = static_cast<Index>(segments.size());
  AttentionPiece<Scalar>* const first = memory.allocate<AttentionPiece<Scalar>>(count);
  AttentionPiece<Scalar>* next = first;
  Index row = 0, tiles = 0, first_of_state = 0;
  for (Index i = 0; i < count; ++next) {
    const auto& segment = segments[static_cast<std::size_t>(i)];
    const auto same_state = [&](Index other) { return segments[static_cast<std::size_t>(other)].state == segment.state; };
    if (i > 0 && !same_state(i - 1)) first_of_state = i;
    const Index position = segment.reset ? 0 : static_cast<Index>(segment.state->position);
    AttentionPiece<Scalar> piece{segment.state, first_of_state, i, row};
    piece.position = position;
    piece.prior = position == 0 ? 0 : position - shape.first_visible(position);
    piece.reset = segment.reset;
    piece.first_tile = tiles;
    do piece.rows += segments[static_cast<std::size_t>(i++)].length;
    while (i < count && same_state(i) && !segments[static_cast<std::size_t>(i)].reset);
    piece.end_segment = i;
    piece.last = i == count || !same_state(i);
    row += piece.rows;
    tiles += (piece.rows + shape.tile_tokens() - 1) / shape.tile_tokens();
    *next = piece;
  }
  return {first, next};
}

}  // namespace rules

TTT_NAMESPACE_END
