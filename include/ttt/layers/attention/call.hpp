// SPDX-License-Identifier: MIT
/// @file
/// Attention of all rows and heads of a call, between the projections: what sees what, which tasks there are, and how
/// the caches change.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "ttt/core/context.hpp"
#include "ttt/layers/attention/pieces.hpp"
#include "ttt/rules/attention/forward.hpp"

TTT_NAMESPACE_BEGIN

/// The rows of one call, or their gradients: queries and heads (the output) [N × H·D], keys and values [N × H_kv·D],
/// log_sums [N × H], empty when there will be no backward. Queries and keys are rotated.
template <class Scalar>
struct AttentionRows {
  MatrixView<Scalar> queries, keys, values, heads, log_sums;

  /// Rows [first, first + count) of all but the sums.
  AttentionRows rows(Index first, Index count) const {
    return {
        queries.rows(first, count), keys.rows(first, count), values.rows(first, count), heads.rows(first, count), {}};
  }
};

/// All heads of a layer.
struct AttentionHeads {
  rules::AttentionShape shape;
  Index key_value_heads = 1;
  Index kept_sinks = 0;  ///< first tokens of a sequence that a ring keeps apart

  Index key_value_width() const { return key_value_heads * shape.head_width; }

  template <class State>
  auto cache(State& state) const {
    using Cache = rules::KeyValueCache<std::remove_pointer_t<decltype(state.values.data())>>;
    const Index rows = Cache::rows_of(state.values.size(), key_value_heads, shape.head_width);
    return Cache(state.values.data(), rows, key_value_heads, shape.head_width, 0, kept_sinks);
  }
  /// Rows of a ring, those of the sinks in front, both in whole panels.
  Index ring_rows() const { return rules::panel_end(kept_sinks) + rules::panel_end(shape.window); }
  /// Appends "keys" and "values" of so many rows, for each head.
  void lay_out_cache(StateLayout& layout, Index rows) const {
    const Index width = shape.head_width, panels = rules::panel_end(rows), ring = rules::panel_end(kept_sinks);
    TokenWrites keys{.period = 0, .slots = panels, .widths = {width}};
    keys.panel = rules::key_panel, keys.sinks = kept_sinks, keys.ring = ring;
    TokenWrites values = keys;
    values.slots = rows, values.panel = 1;
    layout.add(key_value_heads, {{"keys", StateKind::cache, panels * width, keys}});
    layout.add(key_value_heads, {{"values", StateKind::cache, rows * width, values}});
  }
  /// Columns of a key/value head.
  template <class Scalar>
  MatrixView<Scalar> narrow(MatrixView<Scalar> rows, Index head) const {
    return rows.columns(head * shape.head_width, shape.head_width);
  }
  /// Columns of the query heads that use a key/value head.
  template <class Scalar>
  MatrixView<Scalar> wide(MatrixView<Scalar> rows, Index head) const {
    return rows.columns(head * shape.group * shape.head_width, shape.group * shape.head_width);
  }
};

namespace detail {

/// Stretches of the sinks and of what is behind them, each in a cache, whose ring may wrap, and in the call.
template <class Scalar>
class StretchList {
 public:
  /// Positions [first, end) of a cache.
  void add(const rules::KeyValueCache<Scalar>& cache, Index head, Index first, Index end) {
    cache.for_each_stretch(first, end, [&](Index row, Index position, Index count) {
      const Scalar* const panel = cache.key(head, rules::panel_begin(row));
      stretches_[count_++] = {position, position + count, panel, cache.values(head).rows(row, count)};
    });
  }
  rules::KeyValueStretches<Scalar> span() const { return {stretches_.data(), count_}; }

 private:
  std::array<rules::KeyValueStretch<Scalar>, 5> stretches_;
  std::size_t count_ = 0;
};

/// What key/value head `head` of a piece sees.
template <class Scalar>
StretchList<Scalar> stretches(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece, Index head) {
  StretchList<Scalar> list;
  const auto cache = layout.cache(*piece.state);
  const bool in_state = piece.entries.key(0, 0) == cache.key(0, 0);
  const Index open = in_state ? piece.end() : rules::panel_begin(piece.position);
  for (const auto& seen : piece.seen) {
    const auto [first, end] = seen.range();
    list.add(cache, head, first, std::min(open, end));
    list.add(piece.entries, head, std::max(open, first), end);
  }
  return list;
}

/// Whether the rows of a piece may be written into the cache of its State before its queries have been answered: they
/// must not overwrite what the first of them sees, nor what another piece does.
template <class Scalar>
bool fits_into_state(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece) {
  return piece.alone && layout.cache(*piece.state).holds(piece.seen[1].range());
}

/// Writes the keys and values of the rows where the queries will find them: into the State's cache when nobody misses
/// what they replace, otherwise into a cache for the call that begins with a copy of the State's open panel. Afterwards
/// the States of the former are as after the call, but for their positions.
template <class Scalar>
void store_rows(const AttentionHeads& layout, std::span<AttentionPiece<Scalar>> pieces,
                const AttentionRows<std::type_identity_t<Scalar>>& rows, Context& context) {
  const Index heads = layout.key_value_heads, width = layout.shape.head_width;
  for (auto& piece : pieces) {
    piece.entries = layout.cache(*piece.state);
    if (fits_into_state(layout, piece)) continue;
    const Index origin = rules::panel_begin(piece.position), count = rules::panel_end(piece.end()) - origin;
    Scalar* const memory = context.scratch().template allocate<Scalar>(piece.entries.size(count, heads, width));
    piece.entries = rules::KeyValueCache<Scalar>(memory, count, heads, width, origin);
  }
  context.parallel(static_cast<Index>(pieces.size()), [&](Index i, Arena&) {
    const auto& piece = pieces[static_cast<std::size_t>(i)];
    const auto cache = layout.cache(*piece.state);
    const auto before = static_cast<Index>(piece.state->position);
    if (fits_into_state(layout, piece)) {
      if (piece.reset) rules::clear_positions(cache, 0, before);
    } else {
      const Index open = rules::panel_begin(piece.position);
      rules::clear_positions(piece.entries, open, rules::panel_end(piece.end()));
      for (const auto& seen : piece.seen)
        rules::copy_entries(cache, piece.entries, std::max(open, seen.prior.first), seen.prior.end);
    }
    rules::write_cache(piece.entries, piece.position, rows.keys.rows(piece.row, piece.rows),
                       rows.values.rows(piece.row, piece.rows));
  });
}

/// Assigns rows.heads and, unless empty, rows.log_sums, one task per tile of queries and key/value head. The caches are
/// read, not changed.
template <class Scalar>
void attend(const AttentionHeads& layout, std::span<const AttentionPiece<Scalar>> pieces,
            const AttentionRows<std::type_identity_t<Scalar>>& rows, Context& context) {
  if (pieces.empty()) return;
  const Index tile = layout.shape.tokens_of(rules::forward_tiling), group = layout.shape.group;
  const auto tiles = [&](const AttentionPiece<Scalar>& piece) { return (piece.rows + tile - 1) / tile; };
  const Index count = (pieces.back().first_tile + tiles(pieces.back())) * layout.key_value_heads;
  context.parallel(count, [&](Index task, Arena& arena) {
    const auto after = std::upper_bound(pieces.begin(), pieces.end(), task / layout.key_value_heads,
                                        [](Index at, const auto& piece) { return at < piece.first_tile; });
    const AttentionPiece<Scalar>& piece = *(after - 1);
    // A head's tiles follow one another, so that its keys and values stay in the cache of the processor.
    const Index local = task - piece.first_tile * layout.key_value_heads;
    const Index head = local / tiles(piece), first = local % tiles(piece) * tile;
    const Index row = piece.row + first, size = std::min(tile, piece.rows - first);
    context.call<KernelId::attention_forward, Scalar, &rules::attention_forward<simd::Native, Scalar>>(
        layout.shape, stretches(layout, piece, head).span(), piece.position + first,
        layout.wide(rows.queries.rows(row, size), head), layout.wide(rows.heads.rows(row, size), head),
        rows.log_sums.empty() ? rows.log_sums : rows.log_sums.rows(row, size).columns(head * group, group), arena);
  });
}

/// Copies what each piece sees of its State, which will have changed when the backward comes, into `arena`.
template <class Scalar>
void keep_prior(const AttentionHeads& layout, std::span<AttentionPiece<Scalar>> pieces, Arena& arena) {
  for (auto& piece : pieces) {
    const State<Scalar>& state = *piece.state;
    for (auto& seen : piece.seen) {
      if (seen.prior.empty()) continue;
      seen.prior_keys = arena.matrix<Scalar>(seen.prior.size(), layout.key_value_width());
      seen.prior_values = arena.matrix<Scalar>(seen.prior.size(), layout.key_value_width());
      rules::read_cache(layout.cache(state), seen.prior.first, seen.prior_keys, seen.prior_values);
    }
  }
}

/// Writes the keys and values that `store_rows` could not into the caches and advances the States.
template <class Scalar>
void update_states(const AttentionHeads& layout, std::span<const AttentionPiece<Scalar>> pieces,
                   const AttentionRows<std::type_identity_t<Scalar>>& rows, Context& context) {
  context.parallel(static_cast<Index>(pieces.size()), [&](Index i, Arena&) {
    const auto& piece = pieces[static_cast<std::size_t>(i)];
    if (!piece.last) return;
    if (!fits_into_state(layout, piece)) {
      const auto cache = layout.cache(*piece.state);
      const auto before = static_cast<Index>(piece.state->position);
      if (piece.reset) rules::clear_positions(cache, 0, before);
      rules::write_cache(cache, piece.position, rows.keys.rows(piece.row, piece.rows),
                         rows.values.rows(piece.row, piece.rows));
    }
    piece.state->position = piece.end();
  });
}

}  // namespace detail

TTT_NAMESPACE_END
