// SPDX-License-Identifier: MIT
#include "ttt/kernels/rms_norm.hpp"

#include <cmath>

#include "kernels/golden.hpp"
#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr double epsilon = 1e-5;
constexpr Index widths[] = {1, 2, 7, 8, 16, 21, 33, 64, 100};

double inverse_root_mean_square(const Matrix<double>& x) {
  double sum = 0;
  for (Index i = 0; i < x.view().columns(); ++i) sum += x(0, i) * x(0, i);
  return 1 / std::sqrt(sum / static_cast<double>(x.view().columns()) + epsilon);
}

}  // namespace

TEMPLATE_TEST_CASE("RMS norm is its definition, on every pack and in place", "", float, double) {
  for (const Index width : widths) {
    const Matrix<TestType> x(1, width, "x", 3), weight(1, width, "weight");
    Matrix<TestType> native(1, width), generic(1, width), in_place = x;
    kernels::rms_norm_row(x.row(0), weight.row(0), width, static_cast<TestType>(epsilon), native.row(0));
    kernels::rms_norm_row<simd::Generic>(x.row(0), weight.row(0), width, static_cast<TestType>(epsilon),
                                         generic.row(0));
    kernels::rms_norm_row(in_place.row(0), weight.row(0), width, static_cast<TestType>(epsilon), in_place.row(0));
    const double s = inverse_root_mean_square(x.template as<double>());
    Matrix<double> expected(1, width);
    for (Index i = 0; i < width; ++i)
      expected(0, i) = static_cast<double>(weight(0, i)) * static_cast<double>(x(0, i)) * s;
    // A sum of squares keeps its relative error below that of its chain, the root halves it.
    const double bound = numbers::rounding<TestType>(width, numbers::largest(expected));
    CHECK(numbers::difference(native, expected) <= bound);
    CHECK(numbers::difference(generic, expected) <= bound);
    CHECK(numbers::same_bits(native, in_place));
    CHECK(native.gaps_untouched());
  }
}

TEST_CASE("RMS norm of zeros is zero") {
  Matrix<float> x(1, 9), y(1, 9, "anything");
  const Matrix<float> weight(1, 9, "weight");
  kernels::rms_norm_row(x.row(0), weight.row(0), 9, 1e-6F, y.row(0));
  CHECK(numbers::largest(y) == 0);
}

TEST_CASE("backward of RMS norm is its gradient") {
  for (const Index width : {1, 2, 5, 8, 19}) {
    Matrix<double> x(1, width, "x"), weight(1, width, "weight"), y(1, width), d_x(1, width), d_weight(1, width);
    const Matrix<double> d_y(1, width, "d_y");
    kernels::rms_norm_row_backward(x.row(0), weight.row(0), width, epsilon, d_y.row(0), d_x.row(0), d_weight.row(0));
    const auto loss = [&] {
      kernels::rms_norm_row(x.row(0), weight.row(0), width, epsilon, y.row(0));
      return numbers::inner_product(y, d_y);
    };
    numbers::check_gradient(x, d_x, loss);
    numbers::check_gradient(weight, d_weight, loss);
  }
}

TEMPLATE_TEST_CASE("backward of RMS norm: packs, accumulation, aliases, null outputs", "", float, double) {
  for (const Index width : widths) {
    const Matrix<TestType> x(1, width, "x"), weight(1, width, "weight"), d_y(1, width, "d_y"),
        before(1, width, "before");
    const auto eps = static_cast<TestType>(epsilon);
    Matrix<TestType> native(1, width), generic(1, width), aliased = d_y, sums = before, generic_sums = before;
    kernels::rms_norm_row_backward(x.row(0), weight.row(0), width, eps, d_y.row(0), native.row(0), sums.row(0));
    kernels::rms_norm_row_backward<simd::Generic>(x.row(0), weight.row(0), width, eps, d_y.row(0), generic.row(0),
                                                  generic_sums.row(0));
    const double s = inverse_root_mean_square(x.template as<double>()), normalized = s * numbers::largest(x) + 1;
    const double u = numbers::largest(d_y) * numbers::largest(weight);
    CHECK(numbers::difference(native, generic) <= numbers::rounding<TestType>(width, s * u * normalized * normalized));
    Matrix<double> expected_sums = before.template as<double>();
    for (Index i = 0; i < width; ++i)
      expected_sums(0, i) += static_cast<double>(d_y(0, i)) * static_cast<double>(x(0, i)) * s;
    const double bound = numbers::rounding<TestType>(width, numbers::largest(d_y) * normalized + 3);
    CHECK(numbers::difference(sums, expected_sums) <= bound);
    CHECK(numbers::difference(generic_sums, expected_sums) <= bound);

    kernels::rms_norm_row_backward(x.row(0), weight.row(0), width, eps, aliased.row(0), aliased.row(0), nullptr);
    CHECK(numbers::same_bits(aliased, native));
    Matrix<TestType> weight_only = before;
    kernels::rms_norm_row_backward(x.row(0), weight.row(0), width, eps, d_y.row(0), nullptr, weight_only.row(0));
    CHECK(numbers::same_bits(weight_only, sums));
  }
}

TEST_CASE("RMS norm of matrices works row by row, on no rows too") {
  const Index rows = 4, width = 11;
  const Matrix<double> x(rows, width, "x"), weight(1, width, "weight"), d_y(rows, width, "d_y");
  Matrix<double> y(rows, width), d_x(rows, width), sum(1, width), y_row(1, width), d_row(1, width), row_sum(1, width);
  kernels::rms_norm(x.view(), weight.vector(), epsilon, y.view());
  kernels::rms_norm_backward(x.view(), weight.vector(), epsilon, d_y.view(), d_x.view(), sum.vector());
  for (Index r = 0; r < rows; ++r) {
    kernels::rms_norm_row(x.row(r), weight.row(0), width, epsilon, y_row.row(0));
    kernels::rms_norm_row_backward(x.row(r), weight.row(0), width, epsilon, d_y.row(r), d_row.row(0), row_sum.row(0));
    CHECK(numbers::same_bits(y.view().rows(r, 1), y_row.view()));
    CHECK(numbers::same_bits(d_x.view().rows(r, 1), d_row.view()));
  }
  CHECK(numbers::same_bits(sum, row_sum));
  const Matrix<double> unchanged = y;
  kernels::rms_norm(x.view().rows(0, 0), weight.vector(), epsilon, y.view().rows(0, 0));
  CHECK(numbers::same_bits(y, unchanged));
}

TEST_CASE("RMS norm gives the golden values and gradients") {
  const numbers::Golden golden("rmsnorm");
  const auto x = golden.matrix("x"), weight = golden.matrix("weight"), d_y = golden.matrix("d_y");
  Matrix<double> y = x, d_x = x, d_weight(1, x.view().columns());
  kernels::rms_norm(x.view(), weight.vector(), 1e-6, y.view());
  kernels::rms_norm_backward(x.view(), weight.vector(), 1e-6, d_y.view(), d_x.view(), d_weight.vector());
  golden.check_value("y", y);
  golden.check_gradient("grad.x", d_x);
  golden.check_gradient("grad.weight", d_weight);
}
