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

namespace detail {

/// factor · x as [columns × D], a query per row.
template <class Arch, class Scalar>
MatrixView<Scalar> packed_tile(const QueryTile<Scalar, Arch>& tile, MatrixView<const Scalar> x, Scalar factor,
                               Arena& scratch) {
  const auto to = scratch.matrix<Scalar>(tile.columns, tile.shape.head_width);
  for (Index c = 0; c < tile.columns; ++c) {
    const Scalar* from = tile.row(x, c);
    for (Index d = 0; d < to.columns(); ++d) to(c, d) = factor * from[d];
  }
  return to;
}

/// Per column what is subtracted: the logarithm of the sum of its weights, and delta = d_output · output.
template <class Scalar>
struct ColumnShifts {
  VectorView<Scalar> log_sum, delta;  ///< [padded]

  template <class Arch>
  ColumnShifts(const QueryTile<Scalar, Arch>& tile, const AttentionRecordRows<Scalar>& record,
               MatrixView<const Scalar> d_output, Arena& scratch)
      : log_sum(scratch.vector<Scalar>(tile.padded)), delta(scratch.vector<Scalar>(tile.padded)) {
    for (Index c = 0; c < tile.padded; ++c) {
      log_sum[c] = delta[c] = Scalar(0);
      if (c >= tile.columns) continue;
      log_sum[c] = record.log_sums(c / tile.shape.group, c % tile.shape.group);
      const Scalar *a = tile.row(record.output, c), *b = tile.row(d_output, c);
      delta[c] = simd::sum_packs<Scalar, Arch>(
          tile.shape.head_width, [&]<class P>(P, Index d) TTT_INLINE_LAMBDA { return P::load(a + d) * P::load(b + d); });
    }
  }
};

/// scores become weights P = exp(scores − log_sum), d_weights become d_scores = P ∘ (d_weights − delta).
template <class Arch, class Scalar>
void differentiate_softmax(const ColumnShifts<Scalar>& shifts, MatrixView<Scalar> scores, MatrixView<Scalar> d_weights) {
  using P = simd::Pack<Scalar, Arch>;
  for (Index c = 0; c < scores.columns(); c += P::size) {
    const P log_sum = P::load(shifts.log_sum.data() + c), delta = P::load(shifts.delta.data() + c);
    for (Index r = 0; r < scores.rows(); ++r) {
      const P weight = weight_of(P::load(scores.row(r) + c) - log_sum);
      weight.store(scores.row(r) + c);
      (weight * (P::load(d_weights.row(r) + c) - delta)).store(d_weights.row(r) + c);
    }
  }
}

template <class Arch, class Scalar>
void backward_tile(const QueryTile<Scalar, Arch>& tile, KeyValueParts<Scalar> parts,
                   const AttentionRecordRows<Scalar>& record, MatrixView<const Scalar> d_output,
                   MatrixView<Scalar> d_queries, Arena& scratch) {
  using kernels::Output;
  const Arena::Frame frame(scratch);
  const Index width = tile.shape.head_width;
  const Scalar scale = score_scale<Scalar>(tile.shape);
  const auto query_columns = transposed_tile(tile, record.queries, scale, scratch);
  const auto query_rows = packed_tile(tile, record.queries, scale, scratch);
  const auto d_output_columns = transposed_tile(tile, d_output, Scalar(1), scratch);
  const auto d_output_rows = packed_tile(tile, d_output, Scalar(1), scratch);
  const ColumnShifts<Scalar> shifts(tile, record, d_output, scratch);
  const auto weights = scratch.matrix<Scalar>(attention_key_block, tile.padded);
  const auto d_scores = scratch.matrix<Scalar>(attention_key_block, tile.padded);
  const auto d_query_rows = scratch.zeros<Scalar>(tile.columns, width);
  tile.for_each_block([&](KeyBlock block) {
    const auto block_weights = weights.rows(0, block.size()), block_d_scores = d_scores.rows(0, block.size());
    block_product<Arch>(parts, block, &KeyValueRows<Scalar>::keys, query_columns, block_weights);
    tile.mask(block, block_weights);
    block_product<Arch>(parts, block, &KeyValueRows<Scalar>::values, d_output_columns, block_d_scores);
    differentiate_softmax<Arch>(shifts, block_weights, block_d_scores);
    for_each_run(parts, block, [&](const KeyValueRows<Scalar>& part, Index row, Index offset, Index count) {
      const auto run_weights = weights.rows(offset, count).columns(0, tile.columns);
      const auto run_d_scores = d_scores.rows(offset, count).columns(0, tile.columns);
      kernels::matmul<Arch>(kernels::transposed(run_d_scores), part.keys.rows(row, count), d_query_rows, Output::accumulate);
      if (part.d_keys.empty()) return;
      kernels::matmul<Arch>(run_weights, d_output_rows, part.d_values.rows(row, count), Output::accumulate);
      kernels::matmul<Arch>(run_d_scores, query_rows, part.d_keys.rows(row, count), Output::accumulate);
    });
  });
  for (Index c = 0; c < tile.columns; ++c) {
    Scalar* to = tile.row(d_queries, c);
    for (Index d = 0; d < width; ++d) to[d] = scale * d_query_rows(c, d);
  }
}

}  // namespace detail

/// Backward of `attention_forward`: assigns d_queries [n × G·D] and adds to the gradients of `parts`, for the same tokens
/// and parts as the forward had; weights are recomputed block by block from `log_sums` (Dao 2023, "FlashAttention-2",
/// algorithm 2). d_queries must not overlap the inputs.
template <class Arch = simd::Native, class Scalar>
void attention_backward(const AttentionShape& shape, std::type_identity_t<KeyValueParts<Scalar>> parts, Index position,
                        const AttentionRecordRows<Scalar>& record, MatrixView<const std::type_identity_t<Scalar>> d_output,
                        MatrixView<std::type_identity_t<Scalar>> d_queries, Arena& scratch) {
  for (Index first = 0; first < d_output.rows(); first += shape.tile_tokens()) {
    const Index count = std::min(shape.tile_tokens(), d_output.rows() - first);
    const detail::QueryTile<Scalar, Arch> tile(shape, position + first, count);
    detail::backward_tile<Arch, Scalar>(tile, parts, record.rows(first, count), d_output.rows(first, count),
                                        d_queries.rows(first, count), scratch);
  }
}

}  // namespace rules

TTT_NAMESPACE_END
