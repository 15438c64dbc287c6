// SPDX-License-Identifier: MIT
#include "ttt/nn/linear.hpp"

#include "nn/blocks.hpp"
#include "support/error_message.hpp"

using namespace ttt;
using kernels::Output;
using numbers::Matrix;
using numbers::Owned;

namespace {

// Below, at and above the rows of one task.
constexpr Index row_counts[] = {0, 1, 5, 96, 97, 203};

// y (+)= x · Wᵀ with loops.
template <class Scalar>
Matrix<Scalar> linear_of(const Owned<Scalar>& weight, const Matrix<Scalar>& x) {
  const Matrix<Scalar> w = weight.matrix();
  Matrix<Scalar> y(x.view().rows(), w.view().rows());
  for (Index n = 0; n < x.view().rows(); ++n)
    for (Index o = 0; o < w.view().rows(); ++o)
      for (Index i = 0; i < w.view().columns(); ++i) y(n, o) += x(n, i) * w(o, i);
  return y;
}

}  // namespace

TEST_CASE("a weight that does not lie in panels is an Error, not read as some") {
  const Matrix<float> x(3, 7, "x");
  Matrix<float> y(3, 5);
  std::vector<float> memory(1024);
  Tensor<float> weight(Shape{5, 7});
  weight.bind(memory.data());
  Context context;
  CHECK(testing::error_message([&] { nn::linear_forward(weight, x.view(), y.view(), context); }) ==
        "layout of a tensor [5 x 7]: expected panels, found rows");
}

TEST_CASE("a weight is [out x in] in panels and has no memory yet") {
  const Tensor<float> weight = nn::make_weight<float>(5, 7);
  CHECK(weight.shape() == Shape{5, 7});
  CHECK(weight.layout() == Layout::panels);
  CHECK(weight.empty());
}

TEMPLATE_TEST_CASE("a linear map multiplies by the transpose, the same bits on any number of threads", "", float,
                   double) {
  const Index in = 37, out = 71;
  const Owned<TestType> weight({out, in}, Layout::panels, "weight");
  for (const Index rows : row_counts) {
    const Matrix<TestType> x(rows, in, "x"), before(rows, out, "before"), expected = linear_of(weight, x);
    Matrix<TestType> serial(rows, out), serial_sum = before;
    Context context;
    nn::linear_forward(*weight, x.view(), serial.view(), context);
    nn::linear_forward(*weight, x.view(), serial_sum.view(), context, Output::accumulate);
    const double magnitude = static_cast<double>(in) * numbers::largest(x) * numbers::largest(weight.matrix()) + 4;
    CHECK(numbers::difference(serial, expected) <= numbers::rounding<TestType>(in, magnitude));
    Matrix<TestType> expected_sum = expected;
    for (Index n = 0; n < rows; ++n)
      for (Index o = 0; o < out; ++o) expected_sum(n, o) += before(n, o);
    CHECK(numbers::difference(serial_sum, expected_sum) <= numbers::rounding<TestType>(in, magnitude));
    numbers::on_each_executor([&](Context& threads) {
      Matrix<TestType> y(rows, out);
      nn::linear_forward(*weight, x.view(), y.view(), threads);
      CHECK(numbers::same_bits(y, serial));
      CHECK(y.gaps_untouched());
    });
    for (Index n = 0; n < rows; n += 7) {
      Matrix<TestType> alone(1, out);
      nn::linear_forward(*weight, x.view().rows(n, 1), alone.view(), context);
      CHECK(numbers::same_bits(alone.view(), serial.view().rows(n, 1)));
    }
  }
}

TEST_CASE("backward of a linear map is its gradient") {
  const Index in = 9, out = 21, rows = 4;
  Owned<double> weight({out, in}, Layout::panels, "weight"), d_weight({out, in}, Layout::panels);
  Matrix<double> x(rows, in, "x"), d_x(rows, in), y(rows, out);
  const Matrix<double> d_y(rows, out, "d_y");
  Context context;
  nn::linear_backward(*weight, x.view(), d_y.view(), d_x.view(), *d_weight, context);
  const auto loss = [&] {
    nn::linear_forward(*weight, x.view(), y.view(), context);
    return numbers::inner_product(y, d_y);
  };
  numbers::check_gradient(x, d_x, loss);
  numbers::check_tensor_gradient(*weight, *d_weight, loss);
}

TEMPLATE_TEST_CASE("backward of a linear map: threads, accumulation, what is not wanted", "", float, double) {
  const Index in = 37, out = 71;
  const Owned<TestType> weight({out, in}, Layout::panels, "weight"), before({out, in}, Layout::panels, "before");
  for (const Index rows : row_counts) {
    const Matrix<TestType> x(rows, in, "x"), d_y(rows, out, "d_y"), stale(rows, in, "stale");
    Matrix<TestType> serial(rows, in);
    Owned<TestType> serial_weight = before;
    Context context;
    nn::linear_backward(*weight, x.view(), d_y.view(), serial.view(), *serial_weight, context);
    numbers::on_each_executor([&](Context& threads) {
      Matrix<TestType> d_x = stale, only = stale;
      Owned<TestType> d_weight = before, only_weight = before;
      nn::linear_backward(*weight, x.view(), d_y.view(), d_x.view(), *d_weight, threads);
      CHECK(numbers::same_bits(d_x, serial));
      CHECK(d_weight.values() == serial_weight.values());
      Tensor<TestType> unwanted((*weight).shape(), Layout::panels);
      nn::linear_backward(*weight, x.view(), d_y.view(), only.view(), unwanted, threads);
      nn::linear_backward(*weight, x.view(), d_y.view(), {}, *only_weight, threads);
      CHECK(numbers::same_bits(only, serial));
      CHECK(only_weight.values() == serial_weight.values());
    });
    Matrix<TestType> added = stale, sum = serial;
    Owned<TestType> d_weight = before;
    nn::linear_backward(*weight, x.view(), d_y.view(), added.view(), *d_weight, context, Output::accumulate);
    for (Index n = 0; n < rows; ++n)
      for (Index i = 0; i < in; ++i) sum(n, i) += stale(n, i);
    const double magnitude = static_cast<double>(out) * numbers::largest(d_y) * numbers::largest(weight.matrix()) + 4;
    CHECK(numbers::difference(added, sum) <= numbers::rounding<TestType>(out, magnitude));
    CHECK(d_weight.values() == serial_weight.values());
    if (rows == 0) CHECK(serial_weight.values() == before.values());
  }
}

TEMPLATE_TEST_CASE("backward of a linear map in rounds and pieces of rows has the bits of the whole", "", float,
                   double) {
  const Index in = 37, out = 71, rows = 50, cut = 19;
  const Owned<TestType> weight({out, in}, Layout::panels, "weight"), before({out, in}, Layout::panels, "before");
  const Matrix<TestType> x(rows, in, "x"), d_y(rows, out, "d_y"), stale(rows, in, "stale");
  numbers::on_each_executor([&](Context& context) {
    for (const Output output : {Output::assign, Output::accumulate}) {
      Matrix<TestType> whole = stale, pieces = stale;
      Owned<TestType> d_whole = before, d_pieces = before;
      nn::linear_backward(*weight, x.view(), d_y.view(), whole.view(), *d_whole, context, output);
      const nn::LinearBackward backward(*weight, *d_pieces, context);
      for (const auto& [first, count] : {std::pair{Index{0}, cut}, {cut, rows - cut}}) {
        backward.input(d_y.view().rows(first, count), pieces.view().rows(first, count), context, output);
        nn::WeightSums<TestType> sums(context);
        backward.weight(x.view().rows(first, count), d_y.view().rows(first, count), sums);
        sums.add_up();
      }
      CHECK(numbers::same_bits(pieces, whole));
      CHECK(d_pieces.values() == d_whole.values());
    }
    Tensor<TestType> unwanted((*weight).shape(), Layout::panels);
    const nn::LinearBackward neither(*weight, unwanted, context);
    nn::WeightSums<TestType> sums(context);
    neither.weight(x.view(), d_y.view(), sums);
    neither.input(d_y.view(), {}, context);
    sums.add_up();
  });
}

TEST_CASE("a weight in bfloat16: forward and d_x of the rounded weight bit for bit, its gradient in floats") {
  const Index in = 37, out = 71;
  Owned<float> rounded({out, in}, Layout::panels, "weight"), narrow({out, in}, Layout::bfloat16_panels);
  for (Index i = 0; i < out * in; ++i) {
    (*narrow).set(i, std::as_const(*rounded)[i]);
    (*rounded).set(i, rounded_to_bfloat16(std::as_const(*rounded)[i]));
  }
  for (const Index rows : row_counts) {
    const Matrix<float> x(rows, in, "x"), d_y(rows, out, "d_y");
    Matrix<float> expected(rows, out), d_expected(rows, in);
    Owned<float> d_rounded({out, in}, Layout::panels);
    Context context;
    nn::linear_forward(*rounded, x.view(), expected.view(), context);
    nn::linear_backward(*rounded, x.view(), d_y.view(), d_expected.view(), *d_rounded, context);
    numbers::on_each_executor([&](Context& threads) {
      Matrix<float> y(rows, out), d_x(rows, in);
      Owned<float> d_weight({out, in}, Layout::panels);
      nn::linear_forward(*narrow, x.view(), y.view(), threads);
      nn::linear_backward(*narrow, x.view(), d_y.view(), d_x.view(), *d_weight, threads);
      CHECK(numbers::same_bits(y, expected));
      CHECK(numbers::same_bits(d_x, d_expected));
      CHECK(d_weight.values() == d_rounded.values());
    });
  }
}
