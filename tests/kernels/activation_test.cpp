// SPDX-License-Identifier: MIT
#include "ttt/kernels/activation.hpp"

#include <cmath>
#include <vector>

#include "kernels/numbers.hpp"
#include "support/denormals.hpp"

using namespace ttt;
using kernels::Activation;
using numbers::Matrix;

namespace {

constexpr Activation activations[] = {Activation::none,    Activation::silu,         Activation::gelu,
                                      Activation::sigmoid, Activation::elu_plus_one, Activation::log_sigmoid};

double exact(Activation activation, double x) {
  const double sigma = 1 / (1 + std::exp(-x));
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::silu:
      return x * sigma;
    case Activation::gelu:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case Activation::sigmoid:
      return sigma;
    case Activation::elu_plus_one:
      return x > 0 ? x + 1 : std::exp(x);
    case Activation::log_sigmoid:
      return std::log(sigma);
  }
  return 0;
}

}  // namespace

TEMPLATE_TEST_CASE("an activation of rows, and rows that it gates, on every pack and in place", "", float, double) {
  for (const Activation f : activations)
    for (const Index width : {1, 7, 8, 33}) {
      const Index rows = 3;
      const Matrix<TestType> gate(rows, width, "gate", 3), x(rows, width, "x");
      Matrix<TestType> alone(rows, width), native(rows, width), generic(rows, width), in_gate = gate, in_x = x;
      kernels::activate_rows<simd::Generic>(f, gate.view(), generic.view());
      kernels::activate_rows(f, gate.view(), alone.view());
      kernels::activate_rows(f, in_gate.view(), in_gate.view());
      CHECK(numbers::same_bits(alone, generic));
      CHECK(numbers::same_bits(alone, in_gate));
      in_gate = gate;
      kernels::gate_rows(f, gate.view(), x.view(), native.view());
      kernels::gate_rows<simd::Generic>(f, gate.view(), x.view(), generic.view());
      kernels::gate_rows(f, in_gate.view(), x.view(), in_gate.view());
      kernels::gate_rows(f, gate.view(), in_x.view(), in_x.view());
      Matrix<double> expected(rows, width), product(rows, width);
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < width; ++c) {
          expected(r, c) = exact(f, static_cast<double>(gate(r, c)));
          product(r, c) = expected(r, c) * static_cast<double>(x(r, c));
        }
      CHECK(numbers::difference(alone, expected) <= numbers::rounding<TestType>(4, numbers::largest(expected)));
      CHECK(numbers::difference(native, product) <= numbers::rounding<TestType>(4, numbers::largest(product)));
      CHECK(numbers::same_bits(native, generic));
      CHECK(numbers::same_bits(native, in_gate));
      CHECK(numbers::same_bits(native, in_x));
      CHECK((native.gaps_untouched() && alone.gaps_untouched()));
    }
}

TEST_CASE("backward of an activation and of a gate is their gradient") {
  const Index rows = 2, width = 11;
  for (const Activation f : activations) {
    Matrix<double> gate(rows, width, "gate", 2), x(rows, width, "x"), y(rows, width), d_gate(rows, width),
        d_x(rows, width), d_alone(rows, width);
    const Matrix<double> d_y(rows, width, "d_y");
    kernels::activate_rows_backward(f, gate.view(), d_y.view(), d_alone.view());
    numbers::check_gradient(gate, d_alone, [&] {
      kernels::activate_rows(f, gate.view(), y.view());
      return numbers::inner_product(y, d_y);
    });
    kernels::gate_rows_backward(f, gate.view(), x.view(), d_y.view(), d_gate.view(), d_x.view());
    const auto loss = [&] {
      kernels::gate_rows(f, gate.view(), x.view(), y.view());
      return numbers::inner_product(y, d_y);
    };
    numbers::check_gradient(gate, d_gate, loss);
    numbers::check_gradient(x, d_x, loss);
  }
}

TEMPLATE_TEST_CASE("backward of an activation and of a gate: packs and aliases", "", float, double) {
  for (const Activation f : activations)
    for (const Index width : {1, 8, 21}) {
      const Index rows = 3;
      const Matrix<TestType> gate(rows, width, "gate", 2), x(rows, width, "x"), d_y(rows, width, "d_y");
      Matrix<TestType> d_gate(rows, width), d_x(rows, width), generic_gate(rows, width), generic_x(rows, width);
      kernels::gate_rows_backward(f, gate.view(), x.view(), d_y.view(), d_gate.view(), d_x.view());
      kernels::gate_rows_backward<simd::Generic>(f, gate.view(), x.view(), d_y.view(), generic_gate.view(),
                                                 generic_x.view());
      CHECK(numbers::same_bits(d_gate, generic_gate));
      CHECK(numbers::same_bits(d_x, generic_x));
      Matrix<TestType> over_gate = gate, over_y = d_y, over_x = x;
      kernels::gate_rows_backward(f, over_gate.view(), x.view(), over_y.view(), over_gate.view(), over_y.view());
      CHECK(numbers::same_bits(over_gate, d_gate));
      CHECK(numbers::same_bits(over_y, d_x));
      over_y = d_y;
      kernels::gate_rows_backward(f, gate.view(), over_x.view(), over_y.view(), over_y.view(), over_x.view());
      CHECK(numbers::same_bits(over_y, d_gate));
      CHECK(numbers::same_bits(over_x, d_x));
      over_y = d_y;
      kernels::activate_rows_backward(f, gate.view(), d_y.view(), d_x.view());
      kernels::activate_rows_backward<simd::Generic>(f, gate.view(), over_y.view(), over_y.view());
      CHECK(numbers::same_bits(over_y, d_x));
      CHECK(d_x.gaps_untouched());
    }
}

TEST_CASE("what a gate far below zero lets through and its gradients are zero, never denormal") {
  for (const Activation f : {Activation::silu, Activation::sigmoid}) {
    Matrix<float> gate(1, 2001), x(1, 2001), d(1, 2001), y(1, 2001), d_gate(1, 2001), d_x(1, 2001);
    for (Index i = 0; i < 2001; ++i) gate(0, i) = -0.1F * static_cast<float>(i);
    fill(x.view(), 1e-6F);
    fill(d.view(), 1e-6F);
    kernels::gate_rows(f, gate.view(), x.view(), y.view());
    kernels::gate_rows_backward(f, gate.view(), x.view(), d.view(), d_gate.view(), d_x.view());
    for (const auto* result : {&y, &d_gate, &d_x}) {
      CHECK(testing::denormals(std::vector<float>(result->row(0), result->row(0) + 2001)) == 0);
      CHECK((result->row(0)[400] != 0 && result->row(0)[440] == 0));
    }
  }
}

TEST_CASE("the logarithm of a sigmoid keeps its digits where the sigmoid is 1, and is linear where it is 0") {
  Matrix<float> x(1, 4), y(1, 4);
  const float points[] = {30, 10, -80, -1e30F};
  for (Index i = 0; i < 4; ++i) x(0, i) = points[i];
  kernels::activate_rows(Activation::log_sigmoid, x.view(), y.view());
  CHECK(std::abs(y(0, 0) / -std::exp(-30.0) - 1) < 1e-6);
  CHECK(std::abs(y(0, 1) / -std::log1p(std::exp(-10.0)) - 1) < 1e-6);
  CHECK((y(0, 2) == -80 && y(0, 3) == -1e30F));
  kernels::activate_rows(Activation::elu_plus_one, x.view(), y.view());
  CHECK((y(0, 0) == 31 && y(0, 2) == 0 && y(0, 3) == 0));
}

TEST_CASE("gates saturate: nothing overflows far from zero") {
  Matrix<float> gate(1, 9), x(1, 9), y(1, 9);
  fill(x.view(), 2);
  for (Index i = 0; i < 9; ++i) gate(0, i) = i % 2 == 0 ? 1e4F : -1e4F;
  for (const Activation f : {Activation::silu, Activation::gelu, Activation::sigmoid}) {
    kernels::gate_rows(f, gate.view(), x.view(), y.view());
    const float largest = f == Activation::sigmoid ? 2 : 2e4F;
    for (Index i = 0; i < 9; ++i) CHECK(std::abs(y(0, i) - (i % 2 == 0 ? largest : 0.F)) < 1e-30F);
  }
}
