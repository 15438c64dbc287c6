// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "ttt/layers/ttt/parameters.hpp"
#include "ttt/layers/ttt/record.hpp"
#include "ttt/nn/linear.hpp"

TTT_NAMESPACE_BEGIN

/// The maps of x to learning rates, values and, unless a convolution stands between, queries and keys.
template <class Scalar>
class TttProjectionsBackward {
 public:
  TttProjectionsBackward(const TttParameters<Scalar>& parameters, TttParameters<Scalar>& gradients, bool query_and_key,
                         Context& context)
      : rates_(parameters.rate_weight, gradients.rate_weight, context),
        value_(parameters.value, gradients.value, context) {
    if (!query_and_key) return;
    query_.emplace(parameters.query, gradients.query, context);
    key_.emplace(parameters.key, gradients.key, context);
  }

  /// d_x (+)= what all of them say, for the rows of a piece.
  void input(const TttActivations<Scalar>& d, MatrixView<const Scalar> d_logits, MatrixView<Scalar> d_x, Context& own,
             kernels::Output output) const {
    rates_.input(d_logits, d_x, own, output);
    value_.input(d.values, d_x, own, kernels::Output::accumulate);
    if (query_) query_->input(d.queries, d_x, own, kernels::Output::accumulate);
    if (key_) key_->input(d.keys, d_x, own, kernels::Output::accumulate);
  }
  /// Adds to the gradients of their weights, for the rows of a round.
  void weights(MatrixView<const Scalar> x, const TttActivations<Scalar>& d, MatrixView<const Scalar> d_logits,
               Context& context) const {
    nn::WeightSums<Scalar> sums(context);
    rates_.weight(x, d_logits, sums);
    value_.weight(x, d.values, sums);
    if (query_) query_->weight(x, d.queries, sums);
    if (key_) key_->weight(x, d.keys, sums);
    sums.add_up();
  }

 private:
  nn::LinearBackward<Scalar> rates_, value_;
  std::optional<nn::LinearBackward<Scalar>> query_, key_;
};

TTT_NAMESPACE_END
