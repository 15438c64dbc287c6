// SPDX-License-Identifier: MIT
#include "ttt/kernels/softmax.hpp"

#include <cmath>

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

TEMPLATE_TEST_CASE("softmax is its definition and returns the logarithm of its denominator", "", float, double) {
  for (const Index size : {1, 2, 7, 8, 19, 64, 100, 517}) {
    const Matrix<TestType> x(1, size, "x", 3);
    Matrix<TestType> native = x, generic = x;
    const TestType log_sum = kernels::softmax_row(native.row(0), size);
    const TestType generic_log_sum = kernels::softmax_row<simd::Generic>(generic.row(0), size);
    double sum = 0;
    for (Index i = 0; i < size; ++i) sum += std::exp(static_cast<double>(x(0, i)));
    Matrix<double> expected(1, size);
    for (Index i = 0; i < size; ++i) expected(0, i) = std::exp(static_cast<double>(x(0, i))) / sum;
    // The sum is that of blocks; subtracting the maximum rounds an argument of up to `spread`.
    const double spread = 2 * numbers::largest(x);
    CHECK(numbers::difference(native, expected) <= numbers::rounding<TestType>(8, numbers::largest(expected) * spread));
    CHECK(numbers::difference(generic, expected) <=
          numbers::rounding<TestType>(8, numbers::largest(expected) * spread));
    CHECK(std::abs(static_cast<double>(log_sum) - std::log(sum)) <= numbers::rounding<TestType>(8, 1 + spread));
    CHECK(std::abs(static_cast<double>(generic_log_sum) - std::log(sum)) <= numbers::rounding<TestType>(8, 1 + spread));
    CHECK(native.gaps_untouched());
  }
}

TEMPLATE_TEST_CASE("softmax survives large arguments and forgets masked ones exactly", "", float, double) {
  const auto infinity = std::numeric_limits<TestType>::infinity();
  for (const Index size : {3, 11, 40}) {
    Matrix<TestType> x(1, size, "x");
    for (Index i = 0; i < size; ++i) x(0, i) += i % 3 == 0 ? TestType(1e4) : i % 3 == 1 ? -infinity : TestType(-1e4);
    const TestType log_sum = kernels::softmax_row(x.row(0), size);
    double sum = 0;
    for (Index i = 0; i < size; ++i) {
      if (i % 3 != 0) CHECK(x(0, i) == 0);
      sum += static_cast<double>(x(0, i));
    }
    CHECK(std::abs(sum - 1) <= numbers::rounding<TestType>(size, 1));
    CHECK(std::isfinite(log_sum));
  }
}

TEMPLATE_TEST_CASE("a NaN anywhere in a row is seen in its softmax", "", float, double) {
  for (const Index place : {0, 5, 12}) {
    Matrix<TestType> x(1, 13, "x");
    x(0, place) = std::numeric_limits<TestType>::quiet_NaN();
    CHECK(std::isnan(kernels::softmax_row(x.row(0), 13)));
    CHECK(std::isnan(x(0, place)));
  }
}

TEST_CASE("backward of softmax is its gradient, in place of either input") {
  for (const Index size : {1, 2, 9, 20}) {
    Matrix<double> x(1, size, "x"), d_x(1, size), y = x;
    const Matrix<double> d_y(1, size, "d_y");
    kernels::softmax_row(y.row(0), size);
    kernels::softmax_row_backward(y.row(0), d_y.row(0), size, d_x.row(0));
    Matrix<double> probability(1, size), over_y = y, over_d = d_y, generic(1, size);
    numbers::check_gradient(x, d_x, [&] {
      probability = x;
      kernels::softmax_row(probability.row(0), size);
      return numbers::inner_product(probability, d_y);
    });
    kernels::softmax_row_backward(over_y.row(0), d_y.row(0), size, over_y.row(0));
    kernels::softmax_row_backward(y.row(0), over_d.row(0), size, over_d.row(0));
    kernels::softmax_row_backward<simd::Generic>(y.row(0), d_y.row(0), size, generic.row(0));
    CHECK(numbers::same_bits(over_y, d_x));
    CHECK(numbers::same_bits(over_d, d_x));
    CHECK(numbers::difference(generic, d_x) <= numbers::rounding<double>(size, numbers::largest(d_y)));
  }
}
