// SPDX-License-Identifier: MIT
// Someone else's program: uses the library through whichever target its CMakeLists.txt got.
#include <cstdio>
#include <type_traits>

#include "ttt/core/build_info.hpp"
#include "ttt/kernels/simd.hpp"

int main() {
  static_assert(ttt::simd::Pack<float, ttt::simd::Native>::size >= 1);
  std::puts(ttt::describe(ttt::build_info()).c_str());
  return ttt::build_info().version == TTT_EXPECTED_VERSION ? 0 : 1;
}
