// SPDX-License-Identifier: MIT
#include "ttt/nn/activation.hpp"

#include "nn/blocks.hpp"

using namespace ttt;
using kernels::Activation;
using numbers::Matrix;

TEMPLATE_TEST_CASE("activations of a block are the kernel's, in place and on any number of threads", "", float,
                   double) {
  const Index rows = 150, width = 7;
  const Matrix<TestType> x(rows, width, "x"), d_y(rows, width, "d_y");
  for (const Activation f : {Activation::silu, Activation::sigmoid}) {
    Matrix<TestType> expected = x, d_expected = x;
    kernels::activate_rows(f, x.view(), expected.view());
    kernels::activate_rows_backward(f, x.view(), d_y.view(), d_expected.view());
    numbers::on_each_executor([&](Context& context) {
      Matrix<TestType> y = x, d_x = d_y;
      nn::activation_forward(f, y.view(), y.view(), context);
      nn::activation_backward(f, x.view(), d_x.view(), d_x.view(), context);
      CHECK(numbers::same_bits(y, expected));
      CHECK(numbers::same_bits(d_x, d_expected));
    });
  }
}
