// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

namespace reference {

/// Causal softmax attention of one head over a whole sequence from position 0, as loops with the full row of weights:
/// output_i = Σ_j softmax_j(q_i · k_j / √D) v_j over i − window < j ≤ i.
///
/// queries, keys [T × D], values and output [T × D]; output is assigned and must not overlap the inputs
/// (Vaswani et al. 2017, "Attention is all you need", equation 1).
template <class Scalar>
void attention(MatrixView<const Scalar> queries, MatrixView<const Scalar> keys, MatrixView<const Scalar> values,
               Index window, MatrixView<Scalar> output) {
  using std::exp;
  using std::sqrt;
  const Index tokens = queries.rows(), width = queries.columns();
  const Scalar scale = Scalar(1) / sqrt(static_cast<Scalar>(width));
  for (Index i = 0; i < tokens; ++i) {
    const Index first = i < window ? 0 : i - window + 1;
    std::vector<Scalar> weights(static_cast<std::size_t>(i - first + 1));
    for (Index j = first; j <= i; ++j) {
      Scalar dot(0);
      for (Index d = 0; d < width; ++d) dot += queries(i, d) * keys(j, d);
      weights[static_cast<std::size_t>(j - first)] = dot * scale;
    }
    const Scalar largest = *std::max_element(weights.begin(), weights.end());
    Scalar sum(0);
    for (Scalar& weight : weights) sum += weight = exp(weight - largest);
    for (Index d = 0; d < width; ++d) {
      Scalar mean(0);
      for (Index j = first; j <= i; ++j) mean += weights[static_cast<std::size_t>(j - first)] * values(j, d);
      output(i, d) = mean / sum;
    }
  }
}

}  // namespace reference

TTT_NAMESPACE_END
