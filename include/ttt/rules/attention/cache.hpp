// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <type_traits>

#include "ttt/rules/attention/product.hpp"
#include "ttt/rules/attention/tile.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Keys and values of a sequence in the memory of a State: first the keys, then the values, each head's in one stretch,
/// so that decoding streams through them; keys as panels, values as rows. The row of a position is position − origin,
/// mod rows: a cache that grows never wraps, a ring does, and has whole panels for rows. A ring may begin with panels
/// that it never wraps into, for the first `sinks` positions. Keys are rotated already.
template <class Element>
class KeyValueCache {
 public:
  KeyValueCache() = default;
  KeyValueCache(Element* data, Index rows, Index heads, Index head_width, Index origin = 0, Index sinks = 0)
      : data_(data), rows_(rows), heads_(heads), width_(head_width), origin_(origin), sinks_(sinks) {}

  static constexpr Index size(Index rows, Index heads, Index head_width) {
    return (panel_end(rows) + rows) * heads * head_width;
  }
  /// The inverse of `size`.
  static constexpr Index rows_of(Index size, Index heads, Index head_width) {
    const Index both = size / (heads * head_width), panels = (both + key_panel - 1) / (2 * key_panel);
    return both - panels * key_panel;
  }

  Index heads() const { return heads_; }
  /// Whether it holds positions [first, end), and the sinks, at the same time.
  bool holds(KeyRange range) const { return range.end - std::max(range.first, sinks_) <= wrapping_rows(); }
  /// Channel d of a key is at `[d * key_panel]`; a multiple of `key_panel` begins a panel.
  Element* key(Index head, Index row) const {
    return data_ + (head * panel_end(rows_) + panel_begin(row)) * width_ + row % key_panel;
  }
  MatrixView<Element> values(Index head) const {
    return {data_ + (heads_ * panel_end(rows_) + head * rows_) * width_, rows_, width_};
  }

  /// Calls `body(row, position, count)` for each stretch of rows that holds positions [first, end), those left out that
  /// a later one of them replaces.
  template <class Body>
  void for_each_stretch(Index first, Index end, Body&& body) const {
    if (const Index kept = std::min(end, sinks_); first < kept) body(first, first, kept - first);
    const Index ring = wrapping_rows();
    first = std::max({first, sinks_, end - ring});
    while (first < end) {
      const Index row = (first - origin_) % ring, count = std::min(end - first, ring - row);
      body(rows_ - ring + row, first, count);
      first += count;
    }
  }
  /// Calls `body(position, head, key, value)` for each of positions [first, end), but those replaced, and each head.
  template <class Body>
  void for_each_entry(Index first, Index end, Body&& body) const {
    for (Index head = 0; head < heads_; ++head)
      for_each_stretch(first, end, [&](Index row, Index position, Index count) {
        for (Index i = 0; i < count; ++i) body(position + i, head, key(head, row + i), values(head).row(row + i));
      });
  }

 private:
  Index wrapping_rows() const { return rows_ - panel_end(sinks_); }

  Element* data_ = nullptr;
  Index rows_ = 0, heads_ = 0, width_ = 0, origin_ = 0, sinks_ = 0;
};

/// Zeroes the rows of positions [first, end).
template <class Scalar>
void clear_positions(const KeyValueCache<Scalar>& cache, Index first, Index end) {
  const Index width = cache.values(0).columns();
  cache.for_each_entry(first, end, [&](Index, Index, Scalar* key, Scalar* value) {
    for (Index d = 0; d < width; ++d) key[d * key_panel] = value[d] = Scalar(0);
  });
}

/// Writes keys and values [n × heads · D] of positions position, position + 1, …; of more than the cache holds, sinks
/// and the last.
template <class Scalar>
void write_cache(const KeyValueCache<Scalar>& cache, Index position,
                 MatrixView<const std::type_identity_t<Scalar>> keys,
                 MatrixView<const std::type_identity_t<Scalar>> values) {
  const Index end = position + keys.rows(), width = cache.values(0).columns();
  cache.for_each_entry(position, end, [&](Index at, Index head, Scalar* key, Scalar* value) {
    const Scalar* const from_key = keys.row(at - position) + head * width;
    const Scalar* const from_value = values.row(at - position) + head * width;
    for (Index d = 0; d < width; ++d) key[d * key_panel] = from_key[d];
    for (Index d = 0; d < width; ++d) value[d] = from_value[d];
  });
}

/// The reverse: what the cache holds of those positions goes to keys and values; rows it no longer holds are untouched.
template <class Scalar>
void read_cache(const KeyValueCache<const Scalar>& cache, Index position, MatrixView<Scalar> keys,
                MatrixView<Scalar> values) {
  const Index end = position + keys.rows(), width = cache.values(0).columns();
  cache.for_each_entry(position, end, [&](Index at, Index head, const Scalar* key, const Scalar* value) {
    Scalar* const to_key = keys.row(at - position) + head * width;
    for (Index d = 0; d < width; ++d) to_key[d] = key[d * key_panel];
    std::copy_n(value, width, values.row(at - position) + head * width);
  });
}

/// Copies positions [first, end) that both hold.
template <class Scalar>
void copy_entries(const KeyValueCache<Scalar>& from, const KeyValueCache<Scalar>& to, Index first, Index end) {
  const Index width = to.values(0).columns();
  to.for_each_entry(first, end, [&](Index at, Index head, Scalar* key, Scalar* value) {
    from.for_each_stretch(at, at + 1, [&](Index row, Index, Index) {
      for (Index d = 0; d < width; ++d) key[d * key_panel] = from.key(head, row)[d * key_panel];
      std::copy_n(from.values(head).row(row), width, value);
    });
  });
}

}  // namespace rules

TTT_NAMESPACE_END
