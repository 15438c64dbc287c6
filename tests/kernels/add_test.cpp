// SPDX-License-Identifier: MIT
#include "ttt/kernels/add.hpp"

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

TEMPLATE_TEST_CASE("a sum adds element by element, on every pack and to itself", "", float, double) {
  for (const Index width : {1, 7, 8, 33}) {
    const Matrix<TestType> x(3, width, "x"), start(3, width, "start");
    Matrix<TestType> native = start, generic = start, twice = start, expected = start;
    kernels::add<simd::Native, TestType>(x.view(), native.view());
    kernels::add<simd::Generic, TestType>(x.view(), generic.view());
    kernels::add<simd::Native, TestType>(twice.view(), twice.view());
    for (Index r = 0; r < 3; ++r)
      for (Index c = 0; c < width; ++c) {
        expected(r, c) = start(r, c) + x(r, c);
        CHECK(twice(r, c) == 2 * start(r, c));
      }
    CHECK((numbers::same_bits(native, expected) && numbers::same_bits(generic, expected)));
    CHECK(native.gaps_untouched());
  }
}
