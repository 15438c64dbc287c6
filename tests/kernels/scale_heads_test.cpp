// SPDX-License-Identifier: MIT
#include "ttt/kernels/scale_heads.hpp"

#include <cmath>

#include "kernels/numbers.hpp"
#include "support/central_difference.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr Index rows = 3, key_heads = 2;

}  // namespace

TEMPLATE_TEST_CASE("columns that are heads of their own, on every pack", "", float, double) {
  for (const Index columns : {1, 7, 8, 33})
    for (const Index rate_rows : {Index{1}, rows}) {
      const Matrix<TestType> rates(rate_rows, columns, "rates"), x(rows, columns, "x"), d_y(rows, columns, "dy");
      Matrix<TestType> y(rows, columns), sum(rows, columns, "y"), before = sum, d_x(rows, columns),
                                                                  d_rates(rate_rows, columns);
      kernels::scale_heads(rates.view(), x.view(), y.view());
      kernels::add_scaled_heads(rates.view(), x.view(), sum.view());
      kernels::scale_heads_backward(rates.view(), x.view(), d_y.view(), d_rates.view(), d_x.view());
      const double bound = numbers::rounding<TestType>(4, 16);
      for (Index c = 0; c < columns; ++c) {
        double of_all = 0;
        for (Index r = 0; r < rows; ++r) {
          const TestType rate = rates(rate_rows == 1 ? 0 : r, c);
          CHECK(y(r, c) == rate * x(r, c));
          CHECK(std::abs(static_cast<double>(sum(r, c) - before(r, c) - y(r, c))) <= bound);
          CHECK(d_x(r, c) == rate * d_y(r, c));
          of_all += static_cast<double>(d_y(r, c)) * static_cast<double>(x(r, c));
          if (rate_rows > 1) CHECK(d_rates(r, c) == d_y(r, c) * x(r, c));
        }
        if (rate_rows == 1) CHECK(std::abs(static_cast<double>(d_rates(0, c)) - of_all) <= bound);
      }
      CHECK(d_x.gaps_untouched());
    }
}

TEMPLATE_TEST_CASE("heads times their numbers, of each row or of all, on every pack", "", float, double) {
  for (const Index heads : {2, 6})
    for (const Index width : {1, 5, 8, 19})
      for (const Index rate_rows : {Index{1}, rows}) {
        const Matrix<TestType> rates(rate_rows, heads, "rates"), x(rows, key_heads * width, "x");
        Matrix<TestType> y(rows, heads * width), generic = y, sum(rows, heads * width, "y"), before = sum;
        kernels::scale_heads(rates.view(), x.view(), y.view());
        kernels::scale_heads<simd::Generic>(rates.view(), x.view(), generic.view());
        kernels::add_scaled_heads(rates.view(), x.view(), sum.view());
        CHECK(numbers::same_bits(y, generic));
        for (Index r = 0; r < rows; ++r)
          for (Index h = 0; h < heads; ++h)
            for (Index c = 0; c < width; ++c) {
              const TestType expected = rates(rate_rows == 1 ? 0 : r, h) * x(r, h / (heads / key_heads) * width + c);
              CHECK(y(r, h * width + c) == expected);
              CHECK(std::abs(static_cast<double>(sum(r, h * width + c) - before(r, h * width + c) - expected)) <=
                    numbers::rounding<TestType>(4, 8));
            }
        CHECK(y.gaps_untouched());
        CHECK(sum.gaps_untouched());
      }
}

TEST_CASE("backward of scaled heads is their gradient, and accumulates") {
  const Index heads = 4, width = 5;
  for (const Index rate_rows : {Index{1}, rows}) {
    Matrix<double> rates(rate_rows, heads, "rates"), x(rows, key_heads * width, "x"), y(rows, heads * width);
    const Matrix<double> d_y(rows, heads * width, "dy");
    Matrix<double> d_rates(rate_rows, heads), d_x(rows, key_heads * width), twice = d_x;
    kernels::scale_heads_backward(rates.view(), x.view(), d_y.view(), d_rates.view(), d_x.view());
    kernels::scale_heads_backward(rates.view(), x.view(), d_y.view(), {}, twice.view());
    kernels::scale_heads_backward(rates.view(), x.view(), d_y.view(), {}, twice.view());
    const auto loss = [&] {
      kernels::scale_heads(rates.view(), x.view(), y.view());
      double sum = 0;
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < heads * width; ++c) sum += y(r, c) * d_y(r, c);
      return sum;
    };
    for (Index r = 0; r < rate_rows; ++r)
      for (Index h = 0; h < heads; ++h)
        CHECK(d_rates(r, h) == Approx(testing::central_difference(loss, rates(r, h))).margin(1e-8));
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < key_heads * width; ++c) {
        CHECK(d_x(r, c) == Approx(testing::central_difference(loss, x(r, c))).margin(1e-8));
        CHECK(twice(r, c) == Approx(2 * d_x(r, c)).margin(1e-12));
      }
  }
}
