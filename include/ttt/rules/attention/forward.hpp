// SPDX-License-Identifier: MIT
/// @file
/// Softmax attention of one key/value head in blocks, with running maximum and sum (Milakov and Gimelshein 2018,
/// "Online normalizer calculation for softmax"; Dao 2023, "FlashAttention-2", algorithm 1): memory does not grow with
/// T².
#pragma once

#include "ttt/rules/attention/tile.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Keys and values of positions [first, end) of one head, wherever they lie: in a cache, in the call. Where one ends
/// and another follows, the border is a multiple of `key_panel` or the end of the sinks.
template <class Scalar>
struct KeyValueStretch {
  Index first = 0, end = 0;
  const Scalar* keys = nullptr;     ///< panels from that of `first` on; lanes outside of the stretch hold any numbers
  MatrixView<const Scalar> values;  ///< [end − first × D]
};

/// Everything that the queries of a call may see, in order of position.
template <class Scalar>
using KeyValueStretches = std::span<const KeyValueStretch<Scalar>>;

namespace detail {

/// Running softmax of the rows of a tile. [rows] each.
template <class Scalar>
struct RunningSoftmax {
  VectorView<Scalar> maximum, sum;
  VectorView<Scalar> factor;  ///< what the weights of earlier blocks shrink by

  RunningSoftmax(Index size, Arena& scratch)
      : maximum(scratch.vector<Scalar>(size)), sum(scratch.vector<Scalar>(size)), factor(scratch.vector<Scalar>(size)) {
    // Half the range above a masked score, so that the difference of the two is far below zero and never 0.
    std::fill(maximum.begin(), maximum.end(), std::numeric_limits<Scalar>::lowest() / 2);
    std::fill(sum.begin(), sum.end(), Scalar(0));
  }

  /// Turns the scores of a block into weights relative to the new maxima. `for_each(body)` calls body(row, scores,
  /// count) for each row that sees whole panels of the block. All maxima come before all exponentials, and the factors
  /// of all rows in packs between them: what goes across the lanes of one row overlaps with the others.
  template <class Arch, class ForEach>
  void add(ForEach&& for_each) const {
    std::copy(maximum.begin(), maximum.end(), factor.begin());
    for_each([&](Index row, Scalar* scores, Index count) { raise_maximum<Arch>(row, scores, count); });
    simd::for_each_pack<Scalar, Arch>(maximum.size(), [&]<class P>(P, Index r) TTT_INLINE_LAMBDA {
      const P shrink = kernels::weight_exp(P::load(factor.data() + r) - P::load(maximum.data() + r));
      shrink.store(factor.data() + r);
      (P::load(sum.data() + r) * shrink).store(sum.data() + r);
    });
    for_each([&](Index row, Scalar* scores, Index count) { add_weights<Arch>(row, scores, count); });
  }

 private:
  template <class Arch>
  void raise_maximum(Index row, const Scalar* scores, Index count) const {
    using P = simd::Pack<Scalar, Arch>;
    P lanes(maximum[row]);
    for (Index i = 0; i < count; i += P::size) lanes = simd::max(P::load(scores + i), lanes);
    maximum[row] = simd::reduce_max(lanes);
  }
  template <class Arch>
  void add_weights(Index row, Scalar* scores, Index count) const {
    using P = simd::Pack<Scalar, Arch>;
    const P largest(maximum[row]);
    P block_sum(Scalar(0));
    for (Index i = 0; i < count; i += P::size) {
      const P weight = kernels::weight_exp(P::load(scores + i) - largest);
      weight.store(scores + i);
      block_sum = block_sum + weight;
    }
    sum[row] += simd::reduce_add(block_sum);
  }
};

/// Calls `body(stretch, range)` for each piece of `range` that lies in one stretch.
template <class Scalar, class Body>
TTT_INLINE void for_each_run(KeyValueStretches<Scalar> stretches, KeyRange range, Body&& body) {
  for (const auto& stretch : stretches)
    if (const KeyRange run = range.within({stretch.first, stretch.end}); !run.empty()) body(stretch, run);
}

/// output = weighted / sum, log_sums = maximum + log(sum).
template <class Arch, class Scalar>
void write_tile(const QueryTile& tile, const RunningSoftmax<Scalar>& softmax, MatrixView<Scalar> weighted,
                MatrixView<Scalar> output, MatrixView<Scalar> log_sums) {
  using std::log;
  for (Index r = 0; r < tile.rows(); ++r) {
    const Scalar* from = weighted.row(r);
    Scalar* to = tile.row(output, r);
    simd::for_each_pack<Scalar, Arch>(weighted.columns(), [&]<class P>(P, Index d) TTT_INLINE_LAMBDA {
      (P::load(from + d) / P(softmax.sum[r])).store(to + d);
    });
    if (!log_sums.empty())
      log_sums(r / tile.shape.group, r % tile.shape.group) = softmax.maximum[r] + log(softmax.sum[r]);
  }
}

/// scores [rows × block] of what the rows see of a block, panel after panel.
template <class Arch, class Scalar>
void score_block(const QueryTile& tile, KeyRange block, KeyValueStretches<Scalar> stretches, MatrixView<Scalar> rows,
                 MatrixView<Scalar> scores) {
  const Index width = tile.shape.head_width;
  tile.for_each_strip<Arch>(block.first, block.end, [&](Index at, Index end) {
    tile.for_each_group(tile_rows, {at, end}, [&](Index row, Index count, KeyRange range) {
      for_each_run(stretches, range, [&](const KeyValueStretch<Scalar>& stretch, KeyRange run) {
        const KeyRange lanes = run.panels();
        const Right<Scalar> keys(stretch.keys + (lanes.first - panel_begin(stretch.first)) * width, width);
        small_product<Arch>(kernels::Left<Scalar>(rows.rows(row, count)), keys, lanes.size(),
                            scores.row(row) + lanes.first - block.first, scores.stride(), FromZero{});
      });
    });
  });
}

/// Whether the values that some row leaves out are finite.
template <class Arch, class Scalar>
bool hides_finite_values(const QueryTile& tile, KeyValueStretches<Scalar> stretches) {
  if (tile.tokens == 1) return true;  // all rows see the same
  bool finite = true;
  for (const KeyRange range : tile.partly_seen())
    for_each_run(stretches, range, [&](const KeyValueStretch<Scalar>& stretch, KeyRange run) {
      finite &= all_finite<Arch>(stretch.values.rows(run.first - stretch.first, run.size()));
    });
  return finite;
}

/// weighted [rows × D] = factor · weighted + weights · values of a block, which are `finite` where a row leaves them
/// out or not.
template <class Arch, class Scalar>
void add_values(const QueryTile& tile, KeyRange block, KeyValueStretches<Scalar> stretches, bool finite,
                MatrixView<Scalar> weights, VectorView<Scalar> factors, MatrixView<Scalar> weighted) {
  tile.for_each_strip<Arch>(0, weighted.columns(), [&](Index column, Index end) {
    tile.for_each_group(tile_rows, block, [&](Index row, Index count, KeyRange range) {
      for_each_run(stretches, range, [&](const KeyValueStretch<Scalar>& stretch, KeyRange run) {
        const auto multiply = [&](auto start) {
          const auto left = weights.rows(row, count).columns(run.first - block.first, run.size());
          const auto values = stretch.values.rows(run.first - stretch.first, run.size()).columns(column, end - column);
          masked_product<Arch>(kernels::Left<Scalar>(left), Right<Scalar>(values), finite, end - column,
                               weighted.row(row) + column, weighted.stride(), start,
                               [&](Index r) { return tile.seen(row + r).from(run.first); });
        };
        if (run.first == range.first)
          multiply(FromScaledOutput<Scalar>{factors.data() + row});
        else
          multiply(FromOutput{});
      });
    });
  });
}

/// Takes the keys of a tile into the softmax and into weighted [rows × D].
template <class Arch, class Scalar>
void add_keys(const QueryTile& tile, KeyValueStretches<Scalar> stretches, MatrixView<Scalar> rows,
              MatrixView<Scalar> scores, const RunningSoftmax<Scalar>& softmax, MatrixView<Scalar> weighted) {
  const bool finite = hides_finite_values<Arch>(tile, stretches);
  tile.for_each_block(forward_tiling.keys, 0, [&](KeyRange block) {
    score_block<Arch>(tile, block, stretches, rows, scores);
    const auto part = [&](Index row, Index count, KeyRange range) {
      const KeyRange lanes = range.panels();
      return scores.rows(row, count).columns(lanes.first - block.first, lanes.size());
    };
    tile.for_each_group(tile_rows, block, [&](Index row, Index count, KeyRange range) {
      tile.fill_unseen(row, range.panels(), part(row, count, range), std::numeric_limits<Scalar>::lowest());
    });
    softmax.template add<Arch>([&](auto&& body) {
      tile.for_each_group(tile_rows, block, [&](Index row, Index count, KeyRange range) {
        const auto seen = part(row, count, range);
        for (Index r = 0; r < count; ++r) body(row + r, seen.row(r), seen.columns());
      });
    });
    add_values<Arch>(tile, block, stretches, finite, scores, softmax.factor, weighted);
  });
}

template <class Arch, class Scalar>
void forward_tile(const QueryTile& tile, KeyValueStretches<Scalar> stretches, MatrixView<const Scalar> queries,
                  MatrixView<Scalar> output, MatrixView<Scalar> log_sums, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto rows = packed_rows<Arch>(tile, queries, score_scale<Scalar>(tile.shape), scratch);
  const auto weighted = scratch.zeros<Scalar>(tile.rows(), tile.shape.head_width);
  const auto scores = scratch.matrix<Scalar>(tile.rows(), forward_tiling.keys);
  const RunningSoftmax<Scalar> softmax(tile.rows(), scratch);
  for (const KeyRange keys : tile.shape.seen(tile.position, tile.end()))
    if (!keys.empty()) add_keys<Arch>(tile.before(keys), stretches, rows, scores, softmax, weighted);
  write_tile<Arch>(tile, softmax, weighted, output, log_sums);
}

}  // namespace detail

/// output_i = Σ_j softmax_j(q_i · k_j / √D) v_j over the visible j, for the G heads that share the keys and values.
///
/// queries and output [n × G·D] are those of positions position, position + 1, …; `stretches` hold every visible
/// position from a multiple of `key_panel` on; log_sums [n × G] = log Σ_j exp(q_i · k_j / √D) is what the backward
/// needs, empty when not wanted. Outputs are assigned and must not overlap the inputs. The bits of a row do not depend
/// on the other rows of the call.
template <class Arch = simd::Native, class Scalar>
void attention_forward(const AttentionShape& shape, std::type_identity_t<KeyValueStretches<Scalar>> stretches,
                       Index position, MatrixView<const Scalar> queries,
                       MatrixView<std::type_identity_t<Scalar>> output,
                       MatrixView<std::type_identity_t<Scalar>> log_sums, Arena& scratch) {
  const Index tokens = shape.tokens_of(forward_tiling);
  for (Index first = 0; first < queries.rows(); first += tokens) {
    const Index count = std::min(tokens, queries.rows() - first);
    detail::forward_tile<Arch, Scalar>({shape, position + first, count}, stretches, queries.rows(first, count),
                                       output.rows(first, count),
                                       log_sums.empty() ? log_sums : log_sums.rows(first, count), scratch);
  }
}

}  // namespace rules

TTT_NAMESPACE_END
