// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

namespace reference {

/// Causal softmax attention of one head over a whole sequence from position 0, as loops with the full row of weights:
/// output_i = Σ_j softmax_j(q_i · k_j / √D) v_j over the j ≤ i with j > i − window or j < sinks.
///
/// queries, keys [T × D], values and output [T × D]; output is assigned and must not overlap the inputs
/// (Vaswani et al. 2017, "Attention is all you need", equation 1).
template <class Scalar>
void attention(MatrixView<const Scalar> queries, MatrixView<const Scalar> keys, MatrixView<const Scalar> values,
               Index window, Index sinks, MatrixView<Scalar> output) {
  using std::exp;
  using std::sqrt;
  const Index tokens = queries.rows(), width = queries.columns();
  const Scalar scale = Scalar(1) / sqrt(static_cast<Scalar>(width));
  for (Index i = 0; i < tokens; ++i) {
    std::vector<Scalar> weights;
    std::vector<Index> visible;
    for (Index j = 0; j <= i; ++j) {
      if (j <= i - window && j >= sinks) continue;
      Scalar dot(0);
      for (Index d = 0; d < width; ++d) dot += queries(i, d) * keys(j, d);
      weights.push_back(dot * scale);
      visible.push_back(j);
    }
    const Scalar largest = *std::max_element(weights.begin(), weights.end());
    Scalar sum(0);
    for (Scalar& weight : weights) sum += weight = exp(weight - largest);
    for (Index d = 0; d < width; ++d) {
      Scalar mean(0);
      for (std::size_t n = 0; n < visible.size(); ++n) mean += weights[n] * values(visible[n], d);
      output(i, d) = mean / sum;
    }
  }
}

}  // namespace reference

TTT_NAMESPACE_END
