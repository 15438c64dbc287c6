// SPDX-License-Identifier: MIT
#include "ttt/kernels/l2_norm.hpp"

#include <cmath>

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr double epsilon = 1e-2, scale = 0.25;  // an epsilon that is seen
constexpr Index heads = 3;

// As transformers writes it: x · rsqrt(Σ x² + ε).
Matrix<double> by_formula(const Matrix<double>& x, Index width) {
  Matrix<double> y = x;
  for (Index r = 0; r < x.view().rows(); ++r)
    for (Index first = 0; first < x.view().columns(); first += width) {
      double sum = 0;
      for (Index c = first; c < first + width; ++c) sum += x(r, c) * x(r, c);
      for (Index c = first; c < first + width; ++c) y(r, c) = scale * x(r, c) / std::sqrt(sum + epsilon);
    }
  return y;
}

}  // namespace

TEMPLATE_TEST_CASE("L2 norm of heads is its definition, on every pack and in place", "", float, double) {
  for (const Index width : {1, 2, 7, 8, 16, 21, 33}) {
    const Index rows = 3;
    const auto eps = static_cast<TestType>(epsilon), by = static_cast<TestType>(scale);
    const Matrix<TestType> x(rows, heads * width, "x", 2);
    Matrix<TestType> native(rows, heads * width), generic = native, in_place = x;
    kernels::l2_norm(x.view(), width, eps, by, native.view());
    kernels::l2_norm<simd::Generic>(x.view(), width, eps, by, generic.view());
    kernels::l2_norm(in_place.view(), width, eps, by, in_place.view());
    const auto expected = by_formula(x.template as<double>(), width);
    const double bound = numbers::rounding<TestType>(width + 4, numbers::largest(expected));
    CHECK(numbers::difference(native, expected) <= bound);
    CHECK(numbers::difference(generic, expected) <= bound);
    CHECK(numbers::same_bits(native, in_place));
    CHECK(native.gaps_untouched());
  }
}

TEST_CASE("L2 norm of zeros is zero, of large rows it has unit length") {
  Matrix<float> x(1, 9), y(1, 9, "anything");
  kernels::l2_norm(x.view(), 9, 1e-6F, 1, y.view());
  CHECK(numbers::largest(y) == 0);
  fill(x.view(), 1e4F);
  kernels::l2_norm(x.view(), 9, 1e-6F, 1, y.view());
  CHECK(y(0, 8) == Approx(1.0 / 3));
}

TEST_CASE("backward of the L2 norm is its gradient, also in place") {
  for (const Index width : {1, 2, 5, 8, 19}) {
    const Index rows = 2;
    Matrix<double> x(rows, heads * width, "x"), y = x, d_x = x;
    const Matrix<double> d_y(rows, heads * width, "d_y");
    Matrix<double> over_y = d_y, over_x = x, generic = d_y;
    kernels::l2_norm_backward(x.view(), width, epsilon, scale, d_y.view(), d_x.view());
    kernels::l2_norm_backward(x.view(), width, epsilon, scale, over_y.view(), over_y.view());
    kernels::l2_norm_backward(over_x.view(), width, epsilon, scale, d_y.view(), over_x.view());
    kernels::l2_norm_backward<simd::Generic>(x.view(), width, epsilon, scale, d_y.view(), generic.view());
    CHECK(numbers::same_bits(over_y, d_x));
    CHECK(numbers::same_bits(over_x, d_x));
    CHECK(numbers::difference(generic, d_x) <= 1e-13 * (1 + numbers::largest(d_x)));
    CHECK(d_x.gaps_untouched());
    numbers::check_gradient(x, d_x, [&] {
      kernels::l2_norm(x.view(), width, epsilon, scale, y.view());
      return numbers::inner_product(y, d_y);
    });
  }
}
