// SPDX-License-Identifier: MIT
#include "ttt/nn/scale_heads.hpp"

#include "support/catch.hpp"
#include "support/central_difference.hpp"
#include "support/random_matrix.hpp"
#include "ttt/core/executor.hpp"

using namespace ttt;
using testing::Matrix;

namespace {

constexpr Index rows = 70, heads = 3, width = 5;  // more rows than one task has

struct Factors {
  Tensor<double> values{Shape{heads}};
  Buffer<double> memory{heads};
  Factors() {
    values.bind(memory.data());
    for (Index h = 0; h < heads; ++h) values[h] = 0.5 + static_cast<double>(h);
  }
};

}  // namespace

TEST_CASE("one factor for each head of all rows, forward and backward") {
  Factors factors, d_factors;
  const auto x = testing::random_matrix<double>(rows, heads * width, 1),
             y = testing::random_matrix<double>(rows, heads * width, 2),
             d_y = testing::random_matrix<double>(rows, heads * width, 3);
  Context context;
  Matrix<double> sum = y, d_x(rows, heads * width);
  nn::add_scaled_heads<double>(factors.values, x.view(), sum.view(), context);
  CHECK(sum(69, 14) == Approx(y(69, 14) + 2.5 * x(69, 14)));
  fill(d_factors.values.matrix(), 0.0);
  nn::add_scaled_heads_backward<double>(factors.values, x.view(), d_y.view(), d_x.view(), d_factors.values, context);
  for (Index h = 0; h < heads; ++h) {
    double expected = 0;
    for (Index r = 0; r < rows; ++r)
      for (Index c = h * width; c < (h + 1) * width; ++c) expected += d_y(r, c) * x(r, c);
    CHECK(d_factors.values[h] == Approx(expected));
  }
  CHECK(d_x(69, 14) == Approx(2.5 * d_y(69, 14)));
}

TEST_CASE("the gradient of factors has the same bits for any number of threads, and may be left out") {
  Factors factors;
  const auto x = testing::random_matrix<double>(rows, heads * width, 1),
             d_y = testing::random_matrix<double>(rows, heads * width, 3);
  ThreadPool pool(3);
  Context alone, several(pool);
  Factors d_alone, d_several;
  Matrix<double> d_x(rows, heads * width), same = d_x, without = d_x;
  Tensor<double> none(Shape{heads});
  nn::add_scaled_heads_backward<double>(factors.values, x.view(), d_y.view(), d_x.view(), d_alone.values, alone);
  nn::add_scaled_heads_backward<double>(factors.values, x.view(), d_y.view(), same.view(), d_several.values, several);
  nn::add_scaled_heads_backward<double>(factors.values, x.view(), d_y.view(), without.view(), none, alone);
  CHECK(d_alone.memory == d_several.memory);
  for (Index c = 0; c < heads * width; ++c) {
    CHECK(d_x(69, c) == same(69, c));
    CHECK(d_x(69, c) == without(69, c));
  }
}

TEST_CASE("a number for each head of each row, forward and backward") {
  const auto rates = testing::random_matrix<double>(rows, heads, 4), x = testing::random_matrix<double>(rows, width, 5);
  Context context;
  Matrix<double> y(rows, heads * width), d_rates(rows, heads), d_x(rows, width);
  nn::scale_heads<double>(rates.view(), x.view(), y.view(), context);
  CHECK(y(7, 6) == rates(7, 1) * x(7, 1));
  nn::scale_heads_backward<double>(rates.view(), x.view(), std::as_const(y).view(), d_rates.view(), d_x.view(),
                                   context);
  double expected = 0;
  for (Index h = 0; h < heads; ++h) expected += rates(7, h) * y(7, h * width + 1);
  CHECK(d_x(7, 1) == Approx(expected));
}

TEST_CASE("heads of a group add up") {
  const auto x = testing::random_matrix<double>(rows, 6 * width, 6);
  Context context;
  Matrix<double> y = testing::random_matrix<double>(rows, 2 * width, 7), before = y;
  nn::add_heads<double>(6, x.view(), y.view(), context);
  for (Index c = 0; c < 2 * width; ++c) {
    const Index first = c / width * 3 * width + c % width;
    CHECK(y(8, c) == Approx(before(8, c) + x(8, first) + x(8, first + width) + x(8, first + 2 * width)));
  }
}
