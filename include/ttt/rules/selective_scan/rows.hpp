// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What some channels of a selective scan read, token by token, or the gradients of that.
template <class Scalar>
struct ScanRows {
  MatrixView<Scalar> values;  ///< x [T × C]
  MatrixView<Scalar> steps;   ///< Δ ≥ 0 [T × C]
  MatrixView<Scalar> input;   ///< B [T × N], the same for all channels
  MatrixView<Scalar> output;  ///< C [T × N], the same for all channels

  Index tokens() const { return values.rows(); }
  Index channels() const { return values.columns(); }
  Index states() const { return input.columns(); }

  ScanRows rows(Index first, Index count) const {
    return {values.rows(first, count), steps.rows(first, count), input.rows(first, count), output.rows(first, count)};
  }
  operator ScanRows<const Scalar>() const requires(!std::is_const_v<Scalar>) { return {values, steps, input, output}; }
};

}  // namespace rules

TTT_NAMESPACE_END
