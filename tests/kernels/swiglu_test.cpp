// SPDX-License-Identifier: MIT
#include "ttt/kernels/swiglu.hpp"

#include <cmath>
#include <vector>

#include "kernels/numbers.hpp"
#include "support/denormals.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

double silu_of(double x) { return x / (1 + std::exp(-x)); }

}  // namespace

TEMPLATE_TEST_CASE("SwiGLU is silu(gate) times up, on every pack and in place", "", float, double) {
  for (const Index width : {1, 7, 8, 33}) {
    const Index rows = 3;
    const Matrix<TestType> gate(rows, width, "gate", 4), up(rows, width, "up");
    Matrix<TestType> native(rows, width), generic(rows, width), in_gate = gate, in_up = up;
    kernels::swiglu(gate.view(), up.view(), native.view());
    kernels::swiglu<simd::Generic>(gate.view(), up.view(), generic.view());
    kernels::swiglu(in_gate.view(), up.view(), in_gate.view());
    kernels::swiglu(gate.view(), in_up.view(), in_up.view());
    Matrix<double> expected(rows, width);
    for (Index r = 0; r < rows; ++r)
      for (Index i = 0; i < width; ++i)
        expected(r, i) = silu_of(static_cast<double>(gate(r, i))) * static_cast<double>(up(r, i));
    CHECK(numbers::difference(native, expected) <= numbers::rounding<TestType>(0, numbers::largest(expected)));
    CHECK(numbers::same_bits(native, generic));
    CHECK(numbers::same_bits(native, in_gate));
    CHECK(numbers::same_bits(native, in_up));
    CHECK(native.gaps_untouched());
  }
}

TEST_CASE("SwiGLU of gates far below zero and its gradients are zero, never denormal") {
  Matrix<float> gate(1, 2001), up(1, 2001), d(1, 2001), h(1, 2001), d_gate(1, 2001), d_up(1, 2001);
  for (Index i = 0; i < 2001; ++i) gate(0, i) = -0.1F * static_cast<float>(i);
  fill(up.view(), 1e-6F);
  fill(d.view(), 1e-6F);
  kernels::swiglu(gate.view(), up.view(), h.view());
  kernels::swiglu_backward(gate.view(), up.view(), d.view(), d_gate.view(), d_up.view());
  for (const auto* result : {&h, &d_gate, &d_up}) {
    CHECK(testing::denormals(std::vector<float>(result->row(0), result->row(0) + 2001)) == 0);
    CHECK((result->row(0)[400] != 0 && result->row(0)[440] == 0));
  }
}

TEST_CASE("SwiGLU saturates: nothing overflows far from zero") {
  Matrix<float> gate(1, 9), up(1, 9), h(1, 9);
  fill(up.view(), 2);
  for (Index i = 0; i < 9; ++i) gate(0, i) = i % 2 == 0 ? 1e4F : -1e4F;
  kernels::swiglu(gate.view(), up.view(), h.view());
  for (Index i = 0; i < 9; ++i) CHECK(std::abs(h(0, i) - (i % 2 == 0 ? 2e4F : 0.F)) < 1e-30F);
}

TEST_CASE("backward of SwiGLU is its gradient") {
  const Index rows = 2, width = 11;
  Matrix<double> gate(rows, width, "gate", 2), up(rows, width, "up"), h(rows, width), d_gate(rows, width),
      d_up(rows, width);
  const Matrix<double> d_h(rows, width, "d_h");
  kernels::swiglu_backward(gate.view(), up.view(), d_h.view(), d_gate.view(), d_up.view());
  const auto loss = [&] {
    kernels::swiglu(gate.view(), up.view(), h.view());
    return numbers::inner_product(h, d_h);
  };
  numbers::check_gradient(gate, d_gate, loss);
  numbers::check_gradient(up, d_up, loss);
}

TEMPLATE_TEST_CASE("backward of SwiGLU: packs and aliases", "", float, double) {
  for (const Index width : {1, 8, 21}) {
    const Index rows = 3;
    const Matrix<TestType> gate(rows, width, "gate", 2), up(rows, width, "up"), d_h(rows, width, "d_h");
    Matrix<TestType> d_gate(rows, width), d_up(rows, width), generic_gate(rows, width), generic_up(rows, width);
    kernels::swiglu_backward(gate.view(), up.view(), d_h.view(), d_gate.view(), d_up.view());
    kernels::swiglu_backward<simd::Generic>(gate.view(), up.view(), d_h.view(), generic_gate.view(), generic_up.view());
    CHECK(numbers::same_bits(d_gate, generic_gate));
    CHECK(numbers::same_bits(d_up, generic_up));
    Matrix<TestType> over_gate = gate, over_h = d_h, over_up = up;
    kernels::swiglu_backward(over_gate.view(), up.view(), over_h.view(), over_gate.view(), over_h.view());
    CHECK(numbers::same_bits(over_gate, d_gate));
    CHECK(numbers::same_bits(over_h, d_up));
    Matrix<TestType> over_d = d_h;
    kernels::swiglu_backward(gate.view(), over_up.view(), over_d.view(), over_d.view(), over_up.view());
    CHECK(numbers::same_bits(over_d, d_gate));
    CHECK(numbers::same_bits(over_up, d_up));
  }
}
