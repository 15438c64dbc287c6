// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What one head of a large-chunk layer reads, token by token, or the gradients of that.
template <class Scalar>
struct LargeChunkRows {
  MatrixView<Scalar> queries;   ///< [T × D]
  MatrixView<Scalar> keys;      ///< [T × D]
  MatrixView<Scalar> values;    ///< [T × D]
  MatrixView<Scalar> rates;     ///< η, one for each matrix of the inner model
  MatrixView<Scalar> momentum;  ///< m [T × 1]; empty without momentum

  Index tokens() const { return queries.rows(); }
  LargeChunkRows rows(Index first, Index count) const {
    return {queries.rows(first, count), keys.rows(first, count), values.rows(first, count), rates.rows(first, count),
            momentum.empty() ? momentum : momentum.rows(first, count)};
  }
  operator LargeChunkRows<const Scalar>() const requires(!std::is_const_v<Scalar>) {
    return {queries, keys, values, rates, momentum};
  }
};

/// One matrix of the inner model and what it learns from: x W for W [I × O], the transpose of the published one. Or the
/// gradients of that.
template <class Scalar>
struct LearnedMatrix {
  MatrixView<Scalar> weight;    ///< W
  MatrixView<Scalar> momentum;  ///< M [I × O], of the chunks before; empty without momentum
  MatrixView<Scalar> sum;       ///< Σ of the open chunk's steps [I × O]
  MatrixView<Scalar> lengths;   ///< ρ [1 × O], of the columns of the first W; empty if they are free
};

/// Those of an inner model of so many.
template <class Scalar, Index matrices>
using LearnedMatrices = std::array<LearnedMatrix<Scalar>, static_cast<std::size_t>(matrices)>;

}  // namespace rules

TTT_NAMESPACE_END
