// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/ttt/head.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// State of one head of TTT-Linear: the fast weights W [D × D], b [D] its open mini-batch started with, and of each
/// token read since (the rows that are not in use are zero) its key, its inner gradient and its learning rate.
template <class Scalar>
struct TttLinearState {
  FastLinear<Scalar> map;
  VectorView<Scalar> rates;  ///< η [K]

  /// Scalars of W and b, which lie first.
  static Index weight_size(Index head_width) { return head_width * head_width + head_width; }
  static Index size(Index head_width, Index mini_batch) {
    return weight_size(head_width) + mini_batch * (2 * head_width + 1);
  }
  /// The state whose weights lie at `weights` and whose rows, from the keys on, lie at `rows`, there or elsewhere.
  static TttLinearState at(Scalar* weights, Scalar* rows, Index head_width, Index mini_batch) {
    Scalar* gradients = rows + mini_batch * head_width;
    return {{{weights, head_width, head_width},
             {weights + head_width * head_width, 1, head_width},
             {rows, mini_batch, head_width},
             {gradients, mini_batch, head_width}},
            {gradients + mini_batch * head_width, mini_batch}};
  }
  /// Zeros the rows of the mini-batch: none is open.
  void close() const {
    fill(map.keys, Scalar(0));
    fill(map.gradients, Scalar(0));
    std::fill(rates.begin(), rates.end(), Scalar(0));
  }
};

/// What `learn_again` leaves for a backward: z = k W + b [K × D] of a part's keys.
template <class Scalar>
struct TttLinearKept {
  MatrixView<Scalar> z;
};

}  // namespace rules

TTT_NAMESPACE_END
