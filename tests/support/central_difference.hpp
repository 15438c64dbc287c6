// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "ttt/core/function_ref.hpp"
#include "ttt/core/random.hpp"

namespace ttt::testing {

/// (f(v + h) − f(v − h)) / 2h, `value` being what f reads; it is put back afterwards.
///
/// With h = 1e-5 · max(1, |v|) the truncation error is 1.7e-11 · f‴ and rounding adds about ε · |f| / h = 1e-11 · |f|.
inline double central_difference(FunctionRef<double()> function, double& value) {
  const double original = value, step = 1e-5 * std::max(1.0, std::abs(original));
  value = original + step;
  const double above = value, f_above = function();
  value = original - step;
  const double below = value, f_below = function();
  value = original;
  return (f_above - f_below) / (above - below);
}

/// All of [0, size) when there are at most `all`, else `some` of them, the first and the last among them, ascending.
inline std::vector<Index> sample_indices(Index size, Index all, Index some, std::uint64_t seed) {
  std::vector<Index> indices;
  if (size <= all) {
    for (Index i = 0; i < size; ++i) indices.push_back(i);
    return indices;
  }
  const RandomStream random(seed, "sample_indices");
  indices = {0, size - 1};
  for (std::uint64_t draw = 0; static_cast<Index>(indices.size()) < some; ++draw) {
    const auto index = static_cast<Index>(random.below(draw, static_cast<std::uint64_t>(size)));
    if (std::find(indices.begin(), indices.end(), index) == indices.end()) indices.push_back(index);
  }
  std::sort(indices.begin(), indices.end());
  return indices;
}

}  // namespace ttt::testing
