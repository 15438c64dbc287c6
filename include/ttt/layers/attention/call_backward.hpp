// SPDX-License-Identifier: MIT
/// @file
/// The backward of a call of attention: keys and values that a piece saw, gathered, and their gradients, back to rows
/// and States.
#pragma once

#include "ttt/kernels/rows.hpp"
#include "ttt/layers/attention/call.hpp"
#include "ttt/rules/attention/backward.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Keys and values that the backward of a piece sees, [n × D] of one head, in one place.
template <class Scalar>
rules::KeyValueGradients<Scalar> gather(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece,
                                        const SeenKeys<Scalar>& seen, Index head, const AttentionRows<Scalar>& rows,
                                        Arena& arena) {
  const Index prior = seen.prior.size(), own = seen.own.size(), width = layout.shape.head_width;
  const auto keys = arena.matrix<Scalar>(prior + own, width), values = arena.matrix<Scalar>(prior + own, width);
  if (prior > 0) {
    copy(layout.narrow(seen.prior_keys, head), keys.rows(0, prior));
    copy(layout.narrow(seen.prior_values, head), values.rows(0, prior));
  }
  copy(layout.narrow(piece.rows_of(rows.keys, seen.own), head), keys.rows(prior, own));
  copy(layout.narrow(piece.rows_of(rows.values, seen.own), head), values.rows(prior, own));
  return {seen.prior.first, keys, values, arena.zeros<Scalar>(prior + own, width),
          arena.zeros<Scalar>(prior + own, width)};
}

/// The reverse for the gradients: adds them to those of the rows and, when wanted, of the State before the call.
template <class Scalar>
void scatter(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece, const SeenKeys<Scalar>& seen,
             Index head, const rules::KeyValueGradients<Scalar>& from, const AttentionRows<Scalar>& d_rows,
             State<Scalar>* d_state) {
  const Index prior = seen.prior.size(), own = seen.own.size();
  kernels::add_rows<simd::Native, Scalar>(from.d_keys.rows(prior, own),
                                          layout.narrow(piece.rows_of(d_rows.keys, seen.own), head));
  kernels::add_rows<simd::Native, Scalar>(from.d_values.rows(prior, own),
                                          layout.narrow(piece.rows_of(d_rows.values, seen.own), head));
  if (!d_state) return;
  const auto cache = layout.cache(*d_state);
  cache.for_each_stretch(seen.prior.first, seen.prior.end, [&](Index row, Index position, Index count) {
    for (Index i = 0; i < count; ++i)
      for (Index d = 0; d < layout.shape.head_width; ++d)
        cache.key(head, row + i)[d * rules::key_panel] += from.d_keys(position + i - from.first, d);
    kernels::add_rows<simd::Native, Scalar>(from.d_values.rows(position - from.first, count),
                                            cache.values(head).rows(row, count));
  });
}

template <class Scalar>
State<Scalar>* entry(std::span<State<Scalar>* const> states, Index i) {
  return states.empty() ? nullptr : states[static_cast<std::size_t>(i)];
}

/// Moves the gradient of what the last piece of a State left in the cache to the rows it came from, and leaves in the
/// gradient of the run's first segment what belongs to the State before the run.
template <class Scalar>
void adopt_state_gradient(const AttentionHeads& layout, const AttentionPiece<Scalar>& piece, const State<Scalar>* given,
                          State<Scalar>* wanted, const AttentionRows<Scalar>& d_rows) {
  if (given)
    rules::read_cache(layout.cache(*given), piece.position, d_rows.keys.rows(piece.row, piece.rows),
                      d_rows.values.rows(piece.row, piece.rows));
  if (!wanted) return;
  if (!given || piece.reset) return wanted->values.clear();
  if (wanted != given) wanted->values = given->values;
  const auto cache = layout.cache(*wanted);
  rules::clear_positions(cache, piece.position, piece.end());
}

/// Backward of `attend` and `update_states`: assigns the queries, keys and values of `d_rows` from d_rows.heads, and
/// turns `d_states`, an entry per segment, from the gradient of the final into that of the initial States. One task per
/// piece and key/value head, in which the heads that share keys add up in a fixed order.
template <class Scalar>
void attend_backward(const AttentionHeads& layout, std::span<const AttentionPiece<Scalar>> pieces,
                     const AttentionRows<std::type_identity_t<Scalar>>& rows,
                     const AttentionRows<std::type_identity_t<Scalar>>& d_rows,
                     std::span<State<std::type_identity_t<Scalar>>* const> d_states, Context& context) {
  fill(d_rows.keys, Scalar(0));
  fill(d_rows.values, Scalar(0));
  for (const auto& piece : pieces)
    if (piece.last)
      adopt_state_gradient<Scalar>(layout, piece, entry<Scalar>(d_states, piece.end_segment - 1),
                                   entry<Scalar>(d_states, piece.first_of_state), d_rows);
  const Index count = static_cast<Index>(pieces.size()) * layout.key_value_heads;
  context.parallel(count, [&](Index task, Arena& arena) {
    const auto& piece = pieces[static_cast<std::size_t>(task / layout.key_value_heads)];
    const Index head = task % layout.key_value_heads, group = layout.shape.group;
    const auto part = [&](MatrixView<Scalar> x) { return layout.wide(x.rows(piece.row, piece.rows), head); };
    const auto gathered = [&](std::size_t i) {
      return gather<Scalar>(layout, piece, piece.seen[i], head, rows, arena);
    };
    const rules::KeyValueGradientParts<Scalar> keys{gathered(0), gathered(1)};
    const rules::AttentionRecordRows<Scalar> record{
        part(rows.queries), part(rows.heads), rows.log_sums.rows(piece.row, piece.rows).columns(head * group, group)};
    context.call<KernelId::attention_backward, Scalar, &rules::attention_backward<simd::Native, Scalar>>(
        layout.shape, keys, piece.position, record, part(d_rows.heads), part(d_rows.queries), arena);
    for (std::size_t i = 0; i < keys.size(); ++i)
      scatter<Scalar>(layout, piece, piece.seen[i], head, keys[i], d_rows,
                      entry<Scalar>(d_states, piece.first_of_state));
  });
}

}  // namespace detail

TTT_NAMESPACE_END
