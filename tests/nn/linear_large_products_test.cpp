// SPDX-License-Identifier: MIT
#include "ttt/nn/linear/large_products.hpp"

#include "nn/blocks.hpp"
#include "ttt/nn/linear.hpp"

using namespace ttt;
using kernels::Output;
using numbers::Matrix;
using numbers::Owned;

namespace {

// Multiplies by loops, in the order of k as the library does, and remembers what it was asked.
class Loops final : public LargeProducts {
 public:
  explicit Loops(Index smallest) : smallest_(smallest) {}

  Index smallest() const override { return smallest_; }
  void multiply(Factor<float> a, Factor<float> b, MatrixView<float> c, bool accumulate) override {
    product(a, b, c, accumulate);
  }
  void multiply(Factor<double> a, Factor<double> b, MatrixView<double> c, bool accumulate) override {
    product(a, b, c, accumulate);
  }

  Index calls = 0;

 private:
  template <class Scalar>
  void product(Factor<Scalar> a, Factor<Scalar> b, MatrixView<Scalar> c, bool accumulate) {
    ++calls;
    const auto at = [](const Factor<Scalar>& f, Index r, Index k) {
      return f.transposed ? f.matrix(k, r) : f.matrix(r, k);
    };
    REQUIRE(a.columns() == b.rows());
    REQUIRE((a.rows() == c.rows() && b.columns() == c.columns()));
    for (Index r = 0; r < c.rows(); ++r)
      for (Index n = 0; n < c.columns(); ++n) {
        Scalar sum = accumulate ? c(r, n) : Scalar(0);
        for (Index k = 0; k < a.columns(); ++k) sum += at(a, r, k) * at(b, k, n);
        c(r, n) = sum;
      }
  }

  Index smallest_;
};

}  // namespace

TEMPLATE_TEST_CASE("large products of a linear map go to whom the context names, and come to the same", "", float,
                   double) {
  const Index in = 37, out = 71, rows = 50;  // the last panel is a part of one
  const Owned<TestType> weight({out, in}, Layout::panels, "weight"), before({out, in}, Layout::panels, "before");
  const Matrix<TestType> x(rows, in, "x"), d_y(rows, out, "d_y"), stale_y(rows, out, "stale y"),
      stale_x(rows, in, "stale x");
  const auto run = [&](Context& context, Output output) {
    struct {
      Matrix<TestType> y, d_x;
      Owned<TestType> d_weight;
    } all{stale_y, stale_x, before};
    nn::linear_forward(*weight, x.view(), all.y.view(), context, output);
    nn::linear_backward(*weight, x.view(), d_y.view(), all.d_x.view(), *all.d_weight, context, output);
    return all;
  };
  for (const Output output : {Output::assign, Output::accumulate}) {
    Context own;
    const auto expected = run(own, output);
    numbers::on_each_executor([&](Context& context) {
      Loops loops(in * out * rows);
      context.large_products = &loops;
      const auto actual = run(context, output);
      CHECK(loops.calls == 3);
      const auto bound = [](Index inner) {
        return numbers::rounding<TestType>(inner, 16.0 * static_cast<double>(inner));
      };
      CHECK(numbers::difference(actual.y, expected.y) <= bound(in));
      CHECK(numbers::difference(actual.d_x, expected.d_x) <= bound(out));
      CHECK(numbers::difference(actual.d_weight.matrix(), expected.d_weight.matrix()) <= bound(rows));
      CHECK((actual.y.gaps_untouched() && actual.d_x.gaps_untouched()));
      for (Index i = 0; i < actual.d_weight.values().size(); ++i)  // padding
        if (before.values()[i] == 0) CHECK(actual.d_weight.values()[i] == 0);
    });
  }
}

TEST_CASE("smaller products stay, and no rows are no product") {
  const Index in = 8, out = 40, rows = 10;
  const Owned<float> weight({out, in}, Layout::panels, "weight");
  Owned<float> d_weight({out, in}, Layout::panels);
  const Matrix<float> x(rows, in, "x"), d_y(rows, out, "d_y");
  Matrix<float> y(rows, out), d_x(rows, in);
  Context context;
  Loops loops(in * out * rows);
  context.large_products = &loops;
  nn::linear_forward(*weight, x.view().rows(0, rows - 1), y.view().rows(0, rows - 1), context);
  nn::linear_backward(*weight, x.view().rows(0, rows - 1), d_y.view().rows(0, rows - 1), d_x.view().rows(0, rows - 1),
                      *d_weight, context);
  CHECK(loops.calls == 0);
  nn::linear_forward(*weight, x.view(), y.view(), context);
  CHECK(loops.calls == 1);
  nn::linear_backward(*weight, x.view(), d_y.view(), {}, *d_weight, context);
  CHECK(loops.calls == 2);
  Loops greedy(0);
  context.large_products = &greedy;
  nn::linear_forward(*weight, x.view().rows(0, 0), y.view().rows(0, 0), context);
  CHECK(greedy.calls == 0);
}
