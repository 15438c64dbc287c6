// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "ttt/rules/ttt/head.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// State of one head of TTT-MLP: W1 [D × F], b1 [F], W2 [F × D], b2 [D] at the start of the open mini-batch and, for
/// each token read since (unused rows zero), the inputs and inner gradients of both maps and the learning rate.
template <class Scalar>
struct TttMlpState {
  FastLinear<Scalar> first;   ///< D → F; its keys are the layer's keys
  FastLinear<Scalar> second;  ///< F → D; its keys are gelu(z1) of the keys
  VectorView<Scalar> rates;   ///< η [K]

  /// Scalars of W1, b1, W2 and b2, which lie first, in this order.
  static Index weight_size(Index head_width, Index hidden) { return 2 * head_width * hidden + hidden + head_width; }
  static Index size(Index head_width, Index hidden, Index mini_batch) {
    return weight_size(head_width, hidden) + mini_batch * (2 * head_width + 2 * hidden + 1);
  }
  /// The state whose weights lie at `weights` and whose rows, from the keys on, lie at `rows`, there or elsewhere.
  static TttMlpState at(Scalar* weights, Scalar* rows, Index head_width, Index hidden, Index mini_batch) {
    const auto take = [](Scalar*& data, Index count, Index columns) {
      return MatrixView<Scalar>(std::exchange(data, data + count * columns), count, columns);
    };
    TttMlpState state;
    state.first.weight = take(weights, head_width, hidden);
    state.first.bias = take(weights, 1, hidden);
    state.second.weight = take(weights, hidden, head_width);
    state.second.bias = take(weights, 1, head_width);
    state.first.keys = take(rows, mini_batch, head_width);
    state.first.gradients = take(rows, mini_batch, hidden);
    state.second.keys = take(rows, mini_batch, hidden);
    state.second.gradients = take(rows, mini_batch, head_width);
    state.rates = {rows, mini_batch};
    return state;
  }
  /// Zeros the rows of the mini-batch: none is open.
  void close() const {
    for (const auto& rows : {first.keys, first.gradients, second.keys, second.gradients}) fill(rows, Scalar(0));
    std::fill(rates.begin(), rates.end(), Scalar(0));
  }
};

/// What `learn_again` leaves for a backward, of a part's keys.
template <class Scalar>
struct TttMlpKept {
  MatrixView<Scalar> slope, curvature;  ///< gelu′(z1) and gelu″(z1) [K × F], the latter if it is wanted
  MatrixView<Scalar> errors;            ///< e = g2 W2ᵀ [K × F]

  /// Those of the first `count` rows.
  TttMlpKept first(Index count) const {
    return {slope.rows(0, count), curvature.rows(0, count), errors.rows(0, count)};
  }
};

}  // namespace rules

TTT_NAMESPACE_END
