// SPDX-License-Identifier: MIT
#include "ttt/nn/l2_norm.hpp"

#include "nn/blocks.hpp"

using namespace ttt;
using numbers::Matrix;

TEMPLATE_TEST_CASE("L2 norms of a block are the kernel's, in place and on any number of threads", "", float, double) {
  const Index rows = 150, width = 7, heads = 3;
  const Matrix<TestType> x(rows, heads * width, "x"), d_y(rows, heads * width, "d_y");
  Matrix<TestType> expected = x, d_expected = x;
  kernels::l2_norm(x.view(), width, TestType(1e-6), TestType(0.5), expected.view());
  kernels::l2_norm_backward(x.view(), width, TestType(1e-6), TestType(0.5), d_y.view(), d_expected.view());
  numbers::on_each_executor([&](Context& context) {
    Matrix<TestType> y = x, d_x = d_y;
    nn::l2_norm_forward(y.view(), width, 1e-6, 0.5, y.view(), context);
    nn::l2_norm_backward(x.view(), width, 1e-6, 0.5, d_x.view(), d_x.view(), context);
    CHECK(numbers::same_bits(y, expected));
    CHECK(numbers::same_bits(d_x, d_expected));
  });
}
