// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/attention/tile.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What the backward of attention reads, all of the same tokens: [n × G·D], log_sums [n × G].
template <class Scalar>
struct AttentionRecordRows {
  MatrixView<const Scalar> queries, output, log_sums;

  AttentionRecordRows rows(Index first, Index count) const {
    return {queries.rows(first, count), output.rows(first, count), log_sums.rows(first, count)};
  }
};

/// Keys and values of positions first, first + 1, … of one head [n × D], and their gradients, which are added to.
template <class Scalar>
struct KeyValueGradients {
  Index first = 0;
  MatrixView<const Scalar> keys, values;
  MatrixView<Scalar> d_keys, d_values;

  KeyRange range() const { return {first, first + keys.rows()}; }
};

/// Those of the sinks, and of the keys behind them.
template <class Scalar>
using KeyValueGradientParts = std::array<KeyValueGradients<Scalar>, 2>;

namespace detail {

/// x [n × D] in panels of positions.
template <class Scalar>
const Scalar* position_panels(MatrixView<const Scalar> x, Arena& scratch) {
  const Index width = x.columns();
  Scalar* const panels = scratch.allocate<Scalar>(panel_end(x.rows()) * width);
  for (Index first = 0; first < x.rows(); first += key_panel) {
    const Index count = std::min(key_panel, x.rows() - first);
    const MatrixView<Scalar> panel(panels + first * width, width, key_panel);
    kernels::transpose(x.rows(first, count), panel.columns(0, count));
    fill(panel.columns(count, key_panel - count), Scalar(0));
  }
  return panels;
}

/// What the tiles of one head share.
template <class Scalar>
struct BackwardKeys {
  KeyValueGradients<Scalar> rows;
  const Scalar *key_panels, *value_panels;

  BackwardKeys(const KeyValueGradients<Scalar>& of, Arena& scratch)
      : rows(of), key_panels(position_panels(of.keys, scratch)), value_panels(position_panels(of.values, scratch)) {}
  Right<Scalar> panels(const Scalar* of, Index position) const {
    return {of + (position - rows.first) * rows.keys.columns(), rows.keys.columns()};
  }
};

/// The rows of a tile of queries, scaled, of its gradients, and per row what is subtracted: the logarithm of the sum of
/// its weights, and delta = d_output · output.
template <class Scalar, class Arch>
struct BackwardRows {
  MatrixView<Scalar> queries, d_output, d_queries;  ///< [rows × D]
  VectorView<Scalar> log_sum, delta;                ///< [rows]
  bool finite;                                      ///< queries and d_output

  BackwardRows(const QueryTile& tile, const AttentionRecordRows<Scalar>& record, MatrixView<const Scalar> d_y,
               Arena& scratch)
      : queries(packed_rows<Arch>(tile, record.queries, score_scale<Scalar>(tile.shape), scratch)),
        d_output(packed_rows<Arch>(tile, d_y, Scalar(1), scratch)),
        d_queries(scratch.zeros<Scalar>(tile.rows(), tile.shape.head_width)),
        log_sum(scratch.vector<Scalar>(tile.rows())),
        delta(scratch.vector<Scalar>(tile.rows())),
        finite(all_finite<Arch, Scalar>(queries) && all_finite<Arch, Scalar>(d_output)) {
    for (Index r = 0; r < tile.rows(); ++r) {
      const Scalar *a = tile.row(record.output, r), *b = d_output.row(r);
      log_sum[r] = record.log_sums(r / tile.shape.group, r % tile.shape.group);
      delta[r] = simd::sum_packs<Scalar, Arch>(
          d_output.columns(), [&]<class P>(P, Index d) TTT_INLINE_LAMBDA { return P::load(a + d) * P::load(b + d); });
    }
  }

  /// scores become weights P = exp(scores − log_sum), d_weights become d_scores = P ∘ (d_weights − delta), whole
  /// panels.
  void differentiate_softmax(Index row, MatrixView<Scalar> scores, MatrixView<Scalar> d_weights) const {
    using P = simd::Pack<Scalar, Arch>;
    for (Index r = 0; r < scores.rows(); ++r) {
      const P shift(log_sum[row + r]), less(delta[row + r]);
      for (Index i = 0; i < scores.columns(); i += P::size) {
        const P weight = kernels::weight_exp(P::load(scores.row(r) + i) - shift);
        weight.store(scores.row(r) + i);
        (weight * (P::load(d_weights.row(r) + i) - less)).store(d_weights.row(r) + i);
      }
    }
  }
};

/// The gradients of the keys and values of a block, from weights and d_scores [rows × block], in groups of keys: each
/// key gets what the rows that see it say.
template <class Arch, class Scalar>
void add_key_gradients(const QueryTile& tile, const BackwardRows<Scalar, Arch>& rows, const BackwardKeys<Scalar>& keys,
                       KeyRange block, MatrixView<Scalar> weights, MatrixView<Scalar> d_scores) {
  const auto add = [&](MatrixView<Scalar> of, MatrixView<Scalar> by, MatrixView<Scalar> to, Index column,
                       Index columns) {
    for (Index at = block.first; at < block.end; at += tile_rows) {
      const Index count = std::min<Index>(tile_rows, block.end - at);
      const Index begin = tile.seeing(at).first, end = tile.seeing(at + count - 1).end;
      if (begin >= end) continue;
      const kernels::Left<Scalar> left(of.row(begin) + at - block.first, count, end - begin, 1, of.stride());
      masked_product<Arch>(left, Right<Scalar>(by.rows(begin, end - begin).columns(column, columns)), rows.finite,
                           columns, to.row(at - keys.rows.first) + column, to.stride(), FromOutput{},
                           [&](Index key) { return tile.seeing(at + key).from(begin); });
    }
  };
  tile.for_each_strip<Arch>(0, tile.shape.head_width, [&](Index column, Index end) {
    add(weights, rows.d_output, keys.rows.d_values, column, end - column);
    add(d_scores, rows.queries, keys.rows.d_keys, column, end - column);
  });
}

/// weights P and d_scores of a block [rows × block], zero in what a row of a group that sees the block does not see.
template <class Arch, class Scalar>
void differentiate_block(const QueryTile& tile, const BackwardRows<Scalar, Arch>& rows,
                         const BackwardKeys<Scalar>& keys, KeyRange block, MatrixView<Scalar> weights,
                         MatrixView<Scalar> d_scores) {
  // Panels count from the first key here, as blocks do.
  const auto lanes_of = [&](KeyRange range) {
    return KeyRange{block.first + panel_begin(range.first - block.first),
                    block.first + panel_end(range.end - block.first)};
  };
  tile.for_each_strip<Arch>(block.first, block.end, [&](Index at, Index end) {
    tile.for_each_group(tile_rows, {at, end}, [&](Index row, Index count, KeyRange range) {
      const KeyRange lanes = lanes_of(range);
      const auto multiply = [&](MatrixView<Scalar> left, const Scalar* panels, MatrixView<Scalar> to) {
        small_product<Arch>(kernels::Left<Scalar>(left.rows(row, count)), keys.panels(panels, lanes.first),
                            lanes.size(), to.row(row) + lanes.first - block.first, to.stride(), FromZero{});
      };
      multiply(rows.queries, keys.key_panels, weights);
      multiply(rows.d_output, keys.value_panels, d_scores);
    });
  });
  tile.for_each_group(tile_rows, block, [&](Index row, Index count, KeyRange range) {
    const KeyRange lanes = lanes_of(range);
    const auto part = [&](MatrixView<Scalar> of) {
      return of.rows(row, count).columns(lanes.first - block.first, lanes.size());
    };
    rows.differentiate_softmax(row, part(weights), part(d_scores));
    for (const auto& of : {weights, d_scores})
      tile.fill_unseen(row, block, of.rows(row, count).columns(0, block.size()), Scalar(0));
  });
}

/// Adds what the keys of a tile say to rows.d_queries, and the other way round; weights and d_scores are room for a
/// block.
template <class Arch, class Scalar>
void differentiate_keys(const QueryTile& tile, const BackwardRows<Scalar, Arch>& rows, const BackwardKeys<Scalar>& keys,
                        MatrixView<Scalar> weights, MatrixView<Scalar> d_scores) {
  const Index width = tile.shape.head_width;
  bool finite = true;
  for (const KeyRange range : tile.partly_seen())
    if (!range.empty()) finite &= all_finite<Arch>(keys.rows.keys.rows(range.first - keys.rows.first, range.size()));
  tile.for_each_block(backward_tiling.keys, keys.rows.first, [&](KeyRange block) {
    differentiate_block<Arch>(tile, rows, keys, block, weights, d_scores);
    tile.for_each_strip<Arch>(0, width, [&](Index column, Index end) {
      tile.for_each_group(tile_rows, block, [&](Index row, Index count, KeyRange range) {
        const kernels::Left<Scalar> left(d_scores.rows(row, count).columns(range.first - block.first, range.size()));
        const auto key_rows = keys.rows.keys.rows(range.first - keys.rows.first, range.size());
        masked_product<Arch>(left, Right<Scalar>(key_rows.columns(column, end - column)), finite, end - column,
                             rows.d_queries.row(row) + column, width, FromOutput{},
                             [&](Index r) { return tile.seen(row + r).from(range.first); });
      });
    });
    add_key_gradients<Arch>(tile, rows, keys, block, weights, d_scores);
  });
}

template <class Arch, class Scalar>
void backward_tile(const QueryTile& tile, std::span<const BackwardKeys<Scalar>> parts,
                   const AttentionRecordRows<Scalar>& record, MatrixView<const Scalar> d_output,
                   MatrixView<Scalar> d_queries, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const BackwardRows<Scalar, Arch> rows(tile, record, d_output, scratch);
  const auto weights = scratch.matrix<Scalar>(tile.rows(), backward_tiling.keys);
  const auto d_scores = scratch.matrix<Scalar>(tile.rows(), backward_tiling.keys);
  for (const auto& keys : parts) {
    const QueryTile seeing = tile.before(keys.rows.range());
    if (!seeing.keys.empty()) differentiate_keys<Arch>(seeing, rows, keys, weights, d_scores);
  }
  const Scalar scale = score_scale<Scalar>(tile.shape);
  for (Index r = 0; r < tile.rows(); ++r) {
    Scalar* const to = tile.row(d_queries, r);
    for (Index d = 0; d < tile.shape.head_width; ++d) to[d] = scale * rows.d_queries(r, d);
  }
}

}  // namespace detail

/// Backward of `attention_forward`: assigns d_queries [n × G·D] and adds to the gradients of `keys`, which hold every
/// position that any query sees, the sinks and the others apart; weights are recomputed block by block from `log_sums`
/// (Dao 2023, "FlashAttention-2", algorithm 2). d_queries must not overlap the inputs.
template <class Arch = simd::Native, class Scalar>
void attention_backward(const AttentionShape& shape, const KeyValueGradientParts<std::type_identity_t<Scalar>>& keys,
                        Index position, const AttentionRecordRows<Scalar>& record,
                        MatrixView<const std::type_identity_t<Scalar>> d_output,
                        MatrixView<std::type_identity_t<Scalar>> d_queries, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const std::array<detail::BackwardKeys<Scalar>, 2> shared{{{keys[0], scratch}, {keys[1], scratch}}};
  const Index tokens = shape.tokens_of(backward_tiling);
  for (Index first = 0; first < d_output.rows(); first += tokens) {
    const Index count = std::min(tokens, d_output.rows() - first);
    detail::backward_tile<Arch, Scalar>({shape, position + first, count}, shared, record.rows(first, count),
                                        d_output.rows(first, count), d_queries.rows(first, count), scratch);
  }
}

}  // namespace rules

TTT_NAMESPACE_END
