// SPDX-License-Identifier: MIT
#include "ttt/kernels/gelu_gate.hpp"

#include <cmath>

#include "kernels/numbers.hpp"

using namespace ttt;
using numbers::Matrix;

TEMPLATE_TEST_CASE("the gate multiplies by the tanh-GELU, on every pack", "", float, double) {
  for (const Index width : {1, 7, 8, 33}) {
    const Index rows = 3;
    const Matrix<TestType> gate(rows, width, "gate", 2), x(rows, width, "x");
    Matrix<TestType> native = x, generic = x;
    kernels::gelu_gate(gate.view(), native.view());
    kernels::gelu_gate<simd::Generic>(gate.view(), generic.view());
    Matrix<double> expected(rows, width);
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < width; ++c) {
        const auto g = static_cast<double>(gate(r, c));
        const double u = std::sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g);
        expected(r, c) = static_cast<double>(x(r, c)) * g / 2 * (1 + std::tanh(u));
      }
    CHECK(numbers::difference(native, expected) <= numbers::rounding<TestType>(8, numbers::largest(expected)));
    CHECK(numbers::same_bits(native, generic));
    CHECK(native.gaps_untouched());
  }
}

TEST_CASE("backward of the gate is its gradient") {
  const Index rows = 2, width = 11;
  Matrix<double> gate(rows, width, "gate", 2), x(rows, width, "x"), y(rows, width), d_gate(rows, width);
  const Matrix<double> d_y(rows, width, "d_y");
  Matrix<double> d_x = d_y;
  kernels::gelu_gate_backward(gate.view(), x.view(), d_x.view(), d_gate.view());
  const auto loss = [&] {
    y = x;
    kernels::gelu_gate(gate.view(), y.view());
    return numbers::inner_product(y, d_y);
  };
  numbers::check_gradient(gate, d_gate, loss);
  numbers::check_gradient(x, d_x, loss);
}
