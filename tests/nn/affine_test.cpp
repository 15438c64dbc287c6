// SPDX-License-Identifier: MIT
#include "ttt/nn/affine.hpp"

#include "nn/blocks.hpp"
#include "support/allocation_hook.hpp"

using namespace ttt;
using numbers::Matrix;
using numbers::Owned;

namespace {

constexpr Index in = 21, out = 37;
constexpr Index row_counts[] = {0, 1, 5, 64, 150};

}  // namespace

TEMPLATE_TEST_CASE("an affine map is the linear one and a bias, on any number of threads and in pieces", "", float,
                   double) {
  const Owned<TestType> weight({out, in}, Layout::panels, "weight"), bias({out}, Layout::rows, "bias");
  for (const Index rows : row_counts) {
    const Matrix<TestType> x(rows, in, "x");
    Context serial;
    Matrix<TestType> linear(rows, out), whole(rows, out), without(rows, out);
    nn::linear_forward(*weight, x.view(), linear.view(), serial);
    nn::affine_forward(*weight, *bias, x.view(), whole.view(), serial);
    nn::affine_forward(*weight, Tensor<TestType>(), x.view(), without.view(), serial);
    CHECK(numbers::same_bits(without, linear));
    double largest = 0;
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < out; ++c)
        largest = std::max(largest, std::abs(static_cast<double>(whole(r, c)) - static_cast<double>(linear(r, c)) -
                                             static_cast<double>((*bias)[c])));
    // Sums of 22 terms of order one in two orders.
    CHECK(largest <= 100 * static_cast<double>(std::numeric_limits<TestType>::epsilon()));
    numbers::on_each_executor([&](Context& context) {
      Matrix<TestType> y(rows, out), pieces(rows, out);
      nn::affine_forward(*weight, *bias, x.view(), y.view(), context);
      for (Index row = 0; row < rows; ++row)
        nn::affine_forward(*weight, *bias, x.view().rows(row, 1), pieces.view().rows(row, 1), context);
      CHECK((numbers::same_bits(y, whole) && numbers::same_bits(pieces, whole)));
      CHECK((y.gaps_untouched() && pieces.gaps_untouched()));
    });
  }
}

TEST_CASE("the gradient of a bias is the gradient") {
  const Owned<double> weight({out, in}, Layout::panels, "weight");
  Owned<double> bias({out}, Layout::rows, "bias"), d_bias({out});
  const Matrix<double> x(3, in, "x"), d_y(3, out, "d_y");
  Matrix<double> y(3, out);
  Context context;
  nn::bias_backward(d_y.view(), *d_bias, context);
  numbers::check_tensor_gradient(*bias, *d_bias, [&] {
    nn::affine_forward(*weight, *bias, x.view(), y.view(), context);
    return numbers::inner_product(y, d_y);
  });
}

TEMPLATE_TEST_CASE("gradients of a bias add up with the same bits on any number of threads, or are not wanted", "",
                   float, double) {
  const Owned<TestType> before({out}, Layout::rows, "before");
  for (const Index rows : row_counts) {
    const Matrix<TestType> d_y(rows, out, "d_y");
    Context serial;
    Owned<TestType> expected = before, rounds = before;
    nn::bias_backward(d_y.view(), *expected, serial);
    for (Index first = 0; first < rows; first += 64)
      nn::bias_backward(d_y.view().rows(first, std::min<Index>(64, rows - first)), *rounds, serial);
    CHECK(rounds.values() == expected.values());
    CHECK((rows == 0) == (expected.values() == before.values()));
    numbers::on_each_executor([&](Context& context) {
      Owned<TestType> d_bias = before;
      Tensor<TestType> unwanted(Shape{out});
      nn::bias_backward(d_y.view(), *d_bias, context);
      nn::bias_backward(d_y.view(), unwanted, context);
      CHECK(d_bias.values() == expected.values());
    });
  }
}

TEST_CASE("an affine map allocates nothing once the context exists") {
  const Owned<float> weight({out, in}, Layout::panels, "weight"), bias({out}, Layout::rows, "bias");
  const Matrix<float> x(1, in, "x");
  Matrix<float> y(1, out);
  Context context;
  const auto before = testing::allocations();
  nn::affine_forward(*weight, *bias, x.view(), y.view(), context);
  CHECK(testing::allocations() == before);
}
