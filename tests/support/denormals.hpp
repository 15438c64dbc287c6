// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

namespace ttt::testing {

/// How many of some numbers are denormal.
template <class Values>
auto denormals(const Values& values) {
  return std::count_if(values.begin(), values.end(), [](auto x) { return std::fpclassify(x) == FP_SUBNORMAL; });
}

/// Whether the calling thread takes denormal numbers for zero, as results and as operands.
inline bool flushes_denormals() {
  volatile float smallest = 1.17549435e-38F, denormal = 1e-40F, large = 1e20F;
  volatile float half = smallest * 0.5F, product = denormal * large;
  return half == 0 && product == 0;
}

}  // namespace ttt::testing
