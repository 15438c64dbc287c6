// SPDX-License-Identifier: MIT
#include "ttt/nn/rms_norm.hpp"

#include "nn/blocks.hpp"

using namespace ttt;
using kernels::Output;
using numbers::Matrix;
using numbers::Owned;

namespace {

constexpr double epsilon = 1e-5;
constexpr Index row_counts[] = {0, 1, 5, 64, 150};

}  // namespace

TEMPLATE_TEST_CASE("RMS norm of a block is the kernel's, row by row, on any number of threads and in place", "", float,
                   double) {
  const Index width = 23;
  const Owned<TestType> weight({width}, Layout::rows, "weight");
  for (const Index rows : row_counts) {
    const Matrix<TestType> x(rows, width, "x");
    Matrix<TestType> expected(rows, width);
    for (Index r = 0; r < rows; ++r)
      kernels::rms_norm_row(x.row(r), (*weight).data(), width, static_cast<TestType>(epsilon), expected.row(r));
    numbers::on_each_executor([&](Context& context) {
      Matrix<TestType> y(rows, width), in_place = x;
      nn::rms_norm_forward(*weight, x.view(), epsilon, y.view(), context);
      nn::rms_norm_forward(*weight, in_place.view(), epsilon, in_place.view(), context);
      CHECK(numbers::same_bits(y, expected));
      CHECK(numbers::same_bits(in_place, expected));
      CHECK(y.gaps_untouched());
    });
  }
}

TEST_CASE("an RMS norm may be times 1 + weight") {
  const Index rows = 3, width = 10;
  const Owned<double> weight({width}, Layout::rows, "weight");
  Owned<double> more({width});
  for (Index c = 0; c < width; ++c) (*more).data()[c] = 1 + (*weight).data()[c];
  const Matrix<double> x(rows, width, "x"), d_y(rows, width, "d_y");
  Matrix<double> y(rows, width), expected(rows, width), d_x(rows, width), expected_d_x(rows, width);
  Owned<double> d_weight({width}), expected_d_weight({width});
  Context context;
  nn::rms_norm_forward(*weight, x.view(), {epsilon, true}, y.view(), context);
  nn::rms_norm_forward(*more, x.view(), epsilon, expected.view(), context);
  CHECK(numbers::same_bits(y, expected));
  nn::rms_norm_backward(*weight, x.view(), {epsilon, true}, d_y.view(), d_x.view(), *d_weight, context);
  nn::rms_norm_backward(*more, x.view(), epsilon, d_y.view(), expected_d_x.view(), *expected_d_weight, context);
  CHECK(numbers::same_bits(d_x, expected_d_x));
  for (Index c = 0; c < width; ++c) CHECK((*d_weight).data()[c] == (*expected_d_weight).data()[c]);
}

TEST_CASE("backward of the RMS norm block is its gradient") {
  const Index rows = 3, width = 10;
  const Index weights = GENERATE(10, 5);  // of the whole row, or of each of two heads alike
  Owned<double> weight({weights}, Layout::rows, "weight"), d_weight({weights});
  Matrix<double> x(rows, width, "x"), d_x(rows, width), y(rows, width);
  const Matrix<double> d_y(rows, width, "d_y");
  Context context;
  nn::rms_norm_backward(*weight, x.view(), epsilon, d_y.view(), d_x.view(), *d_weight, context);
  const auto loss = [&] {
    nn::rms_norm_forward(*weight, x.view(), epsilon, y.view(), context);
    return numbers::inner_product(y, d_y);
  };
  numbers::check_gradient(x, d_x, loss);
  numbers::check_tensor_gradient(*weight, *d_weight, loss);
}

TEMPLATE_TEST_CASE("backward of the RMS norm block: threads, accumulation, aliases, what is not wanted", "", float,
                   double) {
  const Index width = 23;
  const Owned<TestType> weight({width}, Layout::rows, "weight"), before({width}, Layout::rows, "before");
  for (const Index rows : row_counts) {
    const Matrix<TestType> x(rows, width, "x"), d_y(rows, width, "d_y"), stale(rows, width, "stale");
    Context context;
    Matrix<TestType> serial(rows, width);
    Owned<TestType> serial_weight = before;
    nn::rms_norm_backward(*weight, x.view(), epsilon, d_y.view(), serial.view(), *serial_weight, context);
    numbers::on_each_executor([&](Context& threads) {
      Matrix<TestType> d_x = d_y, only = stale;
      Owned<TestType> d_weight = before, only_weight = before;
      Tensor<TestType> unwanted(Shape{width});
      nn::rms_norm_backward(*weight, x.view(), epsilon, d_x.view(), d_x.view(), *d_weight, threads);
      CHECK(numbers::same_bits(d_x, serial));
      CHECK(d_weight.values() == serial_weight.values());
      nn::rms_norm_backward(*weight, x.view(), epsilon, d_y.view(), only.view(), unwanted, threads);
      nn::rms_norm_backward(*weight, x.view(), epsilon, d_y.view(), {}, *only_weight, threads);
      CHECK(numbers::same_bits(only, serial));
      CHECK(only_weight.values() == serial_weight.values());
    });
    Matrix<TestType> added = stale, sum = serial;
    Owned<TestType> d_weight = before;
    nn::rms_norm_backward(*weight, x.view(), epsilon, d_y.view(), added.view(), *d_weight, context, Output::accumulate);
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < width; ++c) sum(r, c) = stale(r, c) + serial(r, c);
    CHECK(numbers::same_bits(added, sum));
    CHECK(d_weight.values() == serial_weight.values());
  }
}
