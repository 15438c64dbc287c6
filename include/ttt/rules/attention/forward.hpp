// SPDX-License-Identifier: MIT
/// @file
/// Softmax attention of one key/value head in blocks, with running maximum and sum (Milakov and Gimelshein 2018, "Online
/// normalizer calculation for softmax"; Dao 2023, "FlashAttention-2", algorithm 1): memory does not grow with T².
#pragma once

#include "ttt/rules/attention/tile.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// Running softmax of the columns of a tile. [padded] each.
template <class Scalar>
struct RunningSoftmax {
  VectorView<Scalar> maximum, sum, factor;

  RunningSoftmax(Index size, Arena& scratch)
      : maximum(scratch.vector<Scalar>(size)), sum(scratch.vector<Scalar>(size)), factor(scratch.vector<Scalar>(size)) {
    // Half the range above a masked score, so that the difference of the two is far below zero and never 0.
    std::fill(maximum.begin(), maximum.end(), std::numeric_limits<Scalar>::lowest() / 2);
    std::fill(sum.begin(), sum.end(), Scalar(0));
  }

  /// Turns the scores of a block into weights relative to the new maximum; `factor` is what earlier weights shrink by.
  template <class Arch>
  void add(MatrixView<Scalar> scores) {
    using P = simd::Pack<Scalar, Arch>;
    for (Index c = 0; c < scores.columns(); c += P::size) {
      const P before = P::load(maximum.data() + c);
      P largest = before;
      for (Index r = 0; r < scores.rows(); ++r) largest = simd::max(P::load(scores.row(r) + c), largest);
      P block_sum(Scalar(0));
      for (Index r = 0; r < scores.rows(); ++r) {
        const P weight = weight_of(P::load(scores.row(r) + c) - largest);
        weight.store(scores.row(r) + c);
        block_sum = block_sum + weight;
      }
      const P shrink = weight_of(before - largest);
      largest.store(maximum.data() + c);
      shrink.store(factor.data() + c);
      simd::fma(P::load(sum.data() + c), shrink, block_sum).store(sum.data() + c);
    }
  }
};

/// x[c] *= factors[c] for each row c.
template <class Arch, class Scalar>
void scale_rows(VectorView<const Scalar> factors, MatrixView<Scalar> x) {
  for (Index c = 0; c < x.rows(); ++c) {
    if (factors[c] == Scalar(1)) continue;
    simd::for_each_pack<Scalar, Arch>(x.columns(), [&]<class P>(P, Index d) TTT_INLINE_LAMBDA {
      (P::load(x.row(c) + d) * P(factors[c])).store(x.row(c) + d);
    });
  }
}

/// output = weighted / sum, log_sums = maximum + log(sum).
template <class Arch, class Scalar>
void write_tile(const QueryTile<Scalar, Arch>& tile, const RunningSoftmax<Scalar>& softmax, MatrixView<Scalar> weighted,
                MatrixView<Scalar> output, MatrixView<Scalar> log_sums) {
  using std::log;
  for (Index c = 0; c < tile.columns; ++c) {
    const Scalar* from = weighted.row(c);
    Scalar* to = tile.row(output, c);
    simd::for_each_pack<Scalar, Arch>(weighted.columns(), [&]<class P>(P, Index d) TTT_INLINE_LAMBDA {
      (P::load(from + d) / P(softmax.sum[c])).store(to + d);
    });
    if (!log_sums.empty()) log_sums(c / tile.shape.group, c % tile.shape.group) = softmax.maximum[c] + log(softmax.sum[c]);
  }
}

template <class Arch, class Scalar>
void forward_tile(const QueryTile<Scalar, Arch>& tile, KeyValueParts<Scalar> parts, MatrixView<const Scalar> queries,
                  MatrixView<Scalar> output, MatrixView<Scalar> log_sums, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto columns = transposed_tile(tile, queries, score_scale<Scalar>(tile.shape), scratch);
  const auto scores = scratch.matrix<Scalar>(attention_key_block, tile.padded);
  const auto weighted = scratch.zeros<Scalar>(tile.columns, tile.shape.head_width);
  RunningSoftmax<Scalar> softmax(tile.padded, scratch);
  tile.for_each_block([&](KeyBlock block) {
    const auto block_scores = scores.rows(0, block.size());
    block_product<Arch>(parts, block, &KeyValueRows<Scalar>::keys, columns, block_scores);
    tile.mask(block, block_scores);
    softmax.template add<Arch>(block_scores);
    scale_rows<Arch, Scalar>(softmax.factor, weighted);
    for_each_run(parts, block, [&](const KeyValueRows<Scalar>& part, Index row, Index offset, Index count) {
      const kernels::Left<Scalar> weights(scores.row(offset), tile.columns, count, 1, tile.padded);
      kernels::matmul<Arch>(weights, part.values.rows(row, count), weighted, kernels::Output::accumulate);
    });
  });
  write_tile(tile, softmax, weighted, output, log_sums);
}

}  // namespace detail

/// output_i = Σ_j softmax_j(q_i · k_j / √D) v_j over the visible j, for the G heads that share the keys and values.
///
/// queries and output [n × G·D] are those of positions position, position + 1, …; `parts` hold every visible position;
/// log_sums [n × G] = log Σ_j exp(q_i · k_j / √D) is what the backward needs, empty when not wanted. Outputs are assigned
/// and must not overlap the inputs. The bits of a row do not depend on the other rows of the call.
template <class Arch = simd::Native, class Scalar>
void attention_forward(const AttentionShape& shape, std::type_identity_t<KeyValueParts<Scalar>> parts, Index position,
                       MatrixView<const Scalar> queries, MatrixView<std::type_identity_t<Scalar>> output,
                       MatrixView<std::type_identity_t<Scalar>> log_sums, Arena& scratch) {
  for (Index first = 0; first < queries.rows(); first += shape.tile_tokens()) {
    const Index count = std::min(shape.tile_tokens(), queries.rows() - first);
    const detail::QueryTile<Scalar, Arch> tile(shape, position + first, count);
    detail::forward_tile<Arch, Scalar>(tile, parts, queries.rows(first, count), output.rows(first, count),
                                       log_sums.empty() ? log_sums : log_sums.rows(first, count), scratch);
  }
}

}  // namespace rules

TTT_NAMESPACE_END
