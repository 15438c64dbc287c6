// SPDX-License-Identifier: MIT
/// @file
/// Attention of all rows and heads of a call, between the projections: what sees what, which tasks there are, and how the
/// caches and their gradients change.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "ttt/core/context.hpp"
#include "ttt/rules/attention/backward.hpp"
#include "ttt/rules/attention/cache.hpp"
#include "ttt/rules/attention/forward.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The rows of one call, or their gradients: queries and heads (the output) [N × H·D], keys and values [N × H_kv·D],
/// log_sums [N × H], empty when there will be no backward. Queries and keys are rotated.
template <class Scalar>
struct AttentionRows {
  MatrixView<Scalar> queries, keys, values, heads, log_sums;
};

/// All heads of a layer.
struct AttentionHeads {
  AttentionShape shape;
  Index key_value_heads = 1;

  Index key_value_width() const { return key_value_heads * shape.head_width; }

  template <class State>
  auto cache(State& state) const {
    using Element = std::remove_pointer_t<decltype(state.values.data())>;
    const Index rows = state.values.size() / (2 * key_value_width());
    return KeyValueCache<Element>(state.values.data(), rows, key_value_heads, shape.head_width);
  }
  /// The copy of what a piece sees of the time before it.
  template <class Scalar>
  KeyValueCache<Scalar> prior(const AttentionPiece<Scalar>& piece) const {
    return {piece.prior_rows, piece.prior, key_value_heads, shape.head_width};
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

/// Up to two stretches of a cache and the rows of the call.
template <class Scalar>
class PartList {
 public:
  void add(const KeyValueRows<Scalar>& part) {
    if (part.keys.rows() > 0) parts_[count_++] = part;
  }
  KeyValueParts<Scalar> span() const { return {parts_.data(), count_}; }

 private:
  std::array<KeyValueRows<Scalar>, 3> parts_;
  std::size_t count_ = 0;
};

/// What key/value head `head` of a piece offers, the cache as it was before the call.
template <class Scalar>
PartList<Scalar> forward_parts(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece, Index head,
                               const AttentionRows<Scalar>& rows) {
  PartList<Scalar> parts;
  const auto cache = layout.cache(*piece.state);
  cache.for_each_stretch(piece.position - piece.prior, piece.position, [&](Index row, Index position, Index count) {
    parts.add({position, cache.keys(head).rows(row, count), cache.values(head).rows(row, count), {}, {}});
  });
  parts.add({piece.position, layout.narrow(rows.keys.rows(piece.row, piece.rows), head),
             layout.narrow(rows.values.rows(piece.row, piece.rows), head), {}, {}});
  return parts;
}

/// The same with gradients; earlier positions are read from the piece's copy, and their gradients go into `d_state`.
template <class Scalar>
PartList<Scalar> backward_parts(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece, Index head,
                                const AttentionRows<Scalar>& rows, const AttentionRows<Scalar>& d_rows,
                                BufferState<Scalar>* d_state) {
  PartList<Scalar> parts;
  const auto prior = layout.prior(piece);
  const Index first = piece.position - piece.prior;
  if (d_state) {
    const auto gradient = layout.cache(*d_state);
    gradient.for_each_stretch(first, piece.position, [&](Index row, Index position, Index count) {
      parts.add({position, prior.keys(head).rows(position - first, count), prior.values(head).rows(position - first, count),
                 gradient.keys(head).rows(row, count), gradient.values(head).rows(row, count)});
    });
  } else {
    parts.add({first, prior.keys(head), prior.values(head), {}, {}});
  }
  parts.add({piece.position, layout.narrow(rows.keys.rows(piece.row, piece.rows), head),
             layout.narrow(rows.values.rows(piece.row, piece.rows), head),
             layout.narrow(d_rows.keys.rows(piece.row, piece.rows), head),
             layout.narrow(d_rows.values.rows(piece.row, piece.rows), head)});
  return parts;
}

template <class Scalar>
BufferState<Scalar>* entry(std::span<BufferState<Scalar>* const> states, Index i) {
  return states.empty() ? nullptr : states[static_cast<std::size_t>(i)];
}

/// Moves the gradient of what the last piece of a State left in the cache to the rows it came from, and leaves in the
/// gradient of the run's first segment what belongs to the State before the run.
template <class Scalar>
void adopt_state_gradient(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece,
                          const BufferState<Scalar>* given, BufferState<Scalar>* wanted,
                          const AttentionRows<Scalar>& d_rows) {
  if (given)
    read_cache(layout.cache(*given), piece.position, d_rows.keys.rows(piece.row, piece.rows),
               d_rows.values.rows(piece.row, piece.rows));
  if (!wanted) return;
  if (!given || piece.reset) return wanted->values.clear();
  if (wanted != given) wanted->values = given->values;
  const auto cache = layout.cache(*wanted);
  clear_positions(cache, cache.first_held(piece.end(), piece.rows), piece.end());
}

}  // namespace detail

/// Assigns rows.heads and, unless empty, rows.log_sums, one task per tile of queries and key/value head. The caches are
/// read, not changed.
template <class Arch = simd::Native, class Scalar>
void attend(const AttentionHeads& layout, std::span<const AttentionPiece<Scalar>> pieces,
            const AttentionRows<std::type_identity_t<Scalar>>& rows, Context& context) {
  if (pieces.empty()) return;
  const Index tile = layout.shape.tile_tokens(), group = layout.shape.group;
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
    const auto parts = detail::forward_parts(layout, piece, head, rows);
    attention_forward<Arch, Scalar>(
        layout.shape, parts.span(), piece.position + first, layout.wide(rows.queries.rows(row, size), head),
        layout.wide(rows.heads.rows(row, size), head),
        rows.log_sums.empty() ? rows.log_sums : rows.log_sums.rows(row, size).columns(head * group, group), arena);
  });
}

/// Copies what each piece sees of its State, which will have changed when the backward comes, into `arena`.
template <class Scalar>
void keep_prior(const AttentionHeads& layout, std::span<AttentionPiece<Scalar>> pieces, Arena& arena) {
  for (auto& piece : pieces) {
    piece.prior_rows = arena.allocate<Scalar>(
        KeyValueCache<Scalar>::size(piece.prior, layout.key_value_heads, layout.shape.head_width));
    const Index first = piece.position - piece.prior;
    const auto from = layout.cache(*piece.state), to = layout.prior(piece);
    from.for_each_stretch(first, piece.position, [&](Index row, Index position, Index count) {
      for (Index head = 0; head < layout.key_value_heads; ++head) {
        copy(from.keys(head).rows(row, count), to.keys(head).rows(position - first, count));
        copy(from.values(head).rows(row, count), to.values(head).rows(position - first, count));
      }
    });
  }
}

/// Writes the new keys and values into the caches and advances the States.
template <class Scalar>
void update_states(const AttentionHeads& layout, std::span<const AttentionPiece<Scalar>> pieces,
                   const AttentionRows<std::type_identity_t<Scalar>>& rows, Context& context) {
  context.parallel(static_cast<Index>(pieces.size()), [&](Index i, Arena&) {
    const auto& piece = pieces[static_cast<std::size_t>(i)];
    if (!piece.last) return;
    const auto cache = layout.cache(*piece.state);
    const auto before = static_cast<Index>(piece.state->position);
    if (piece.reset) clear_positions(cache, cache.first_held(before, before), before);
    write_cache(cache, piece.position, rows.keys.rows(piece.row, piece.rows), rows.values.rows(piece.row, piece.rows));
    piece.state->position = piece.end();
  });
}

/// Backward of `attend` and `update_states`: assigns the queries, keys and values of `d_rows` from d_rows.heads, and turns
/// `d_states`, an entry per segment, from the gradient of the final into that of the initial States. One task per piece and
/// key/value head, in which the heads that share keys add up in a fixed order.
template <class Arch = simd::Native, class Scalar>
void attend_backward(const AttentionHeads& layout, std::span<const AttentionPiece<Scalar>> pieces,
                     const AttentionRows<std::type_identity_t<Scalar>>& rows,
                     const AttentionRows<std::type_identity_t<Scalar>>& d_rows,
                     std::span<BufferState<std::type_identity_t<Scalar>>* const> d_states, Context& context) {
  fill(d_rows.keys, Scalar(0));
  fill(d_rows.values, Scalar(0));
  for (const auto& piece : pieces)
    if (piece.last)
      detail::adopt_state_gradient<Scalar>(layout, piece, detail::entry<Scalar>(d_states, piece.end_segment - 1),
                                           detail::entry<Scalar>(d_states, piece.first_of_state), d_rows);
  const Index count = static_cast<Index>(pieces.size()) * layout.key_value_heads;
  context.parallel(count, [&](Index task, Arena& arena) {
    const auto& piece = pieces[static_cast<std::size_t>(task / layout.key_value_heads)];
    const Index head = task % layout.key_value_heads, group = layout.shape.group;
    const auto part = [&](MatrixView<Scalar> x) { return layout.wide(x.rows(piece.row, piece.rows), head); };
    const auto parts = detail::backward_parts<Scalar>(layout, piece, head, rows, d_rows,
                                                      detail::entry<Scalar>(d_states, piece.first_of_state));
    const AttentionRecordRows<Scalar> record{part(rows.queries), part(rows.heads),
                                             rows.log_sums.rows(piece.row, piece.rows).columns(head * group, group)};
    attention_backward<Arch, Scalar>(layout.shape, parts.span(), piece.position, record, part(d_rows.heads),
                                     part(d_rows.queries), arena);
  });
}

}  // namespace rules

TTT_NAMESPACE_END
