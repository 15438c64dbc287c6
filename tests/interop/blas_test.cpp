// SPDX-License-Identifier: MIT
#include "ttt/interop/blas.hpp"

#include <limits>

#include "nn/blocks.hpp"
#include "suites/layer_runs.hpp"
#include "support/compiled_layers.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/nn/linear.hpp"

using namespace ttt;
using kernels::Output;
using numbers::Matrix;
using numbers::Owned;

namespace {

// A BLAS that counts.
class Counting final : public LargeProducts {
 public:
  explicit Counting(Index smallest) : blas_(smallest) {}
  Index smallest() const override { return blas_.smallest(); }
  void multiply(Factor<float> a, Factor<float> b, MatrixView<float> c, bool accumulate) override {
    ++calls;
    blas_.multiply(a, b, c, accumulate);
  }
  void multiply(Factor<double> a, Factor<double> b, MatrixView<double> c, bool accumulate) override {
    ++calls;
    blas_.multiply(a, b, c, accumulate);
  }
  Index calls = 0;

 private:
  BlasProducts blas_;
};

/// Whether two sums of the same K products and a start differ by no more than rounding, whatever the order of either:
/// |actual − expected| ≤ 2 γ Σ |a| |b|, γ = (K + 1) u / (1 − (K + 1) u) (Higham, Accuracy and Stability, section 3.1).
template <class Scalar>
bool within_rounding(const Matrix<Scalar>& actual, const Matrix<Scalar>& expected, const Matrix<Scalar>& magnitude,
                     Index inner) {
  const double ku = static_cast<double>(inner + 1) * std::numeric_limits<Scalar>::epsilon() / 2;
  for (Index r = 0; r < expected.view().rows(); ++r)
    for (Index c = 0; c < expected.view().columns(); ++c)
      if (!(std::abs(static_cast<double>(actual(r, c)) - static_cast<double>(expected(r, c))) <=
            2 * ku / (1 - ku) * static_cast<double>(magnitude(r, c)) * (1 + ku)))
        return false;
  return true;
}

template <class Scalar>
Matrix<Scalar> absolute(Matrix<Scalar> values) {
  for (Index r = 0; r < values.view().rows(); ++r)
    for (Index c = 0; c < values.view().columns(); ++c) values(r, c) = std::abs(values(r, c));
  return values;
}
template <class Scalar>
Owned<Scalar> absolute(Owned<Scalar> values) {
  for (Index i = 0; i < (*values).size(); ++i) (*values)[i] = std::abs((*values)[i]);
  return values;
}

template <class Scalar>
struct Products {
  Matrix<Scalar> y, d_x;
  Owned<Scalar> d_weight;
};

}  // namespace

TEMPLATE_TEST_CASE("products of a BLAS agree with the library's within rounding", "", float, double) {
  const Index in = 147, out = 203, rows = 131;
  const Owned<TestType> weight({out, in}, Layout::panels, "weight"), before({out, in}, Layout::panels, "before");
  const Matrix<TestType> x(rows, in, "x"), d_y(rows, out, "d_y"), stale_y(rows, out, "stale y"),
      stale_x(rows, in, "stale x");
  const auto run = [&](const auto& w, const auto& input, const auto& gradient, Products<TestType> all, Output output,
                       LargeProducts* products) {
    Context context;
    context.large_products = products;
    nn::linear_forward(*w, input.view(), all.y.view(), context, output);
    nn::linear_backward(*w, input.view(), gradient.view(), all.d_x.view(), *all.d_weight, context, output);
    return all;
  };
  for (const Output output : {Output::assign, Output::accumulate}) {
    Counting blas(in * out * rows);
    const auto expected = run(weight, x, d_y, {stale_y, stale_x, before}, output, nullptr);
    const auto actual = run(weight, x, d_y, {stale_y, stale_x, before}, output, &blas);
    const auto magnitude = run(absolute(weight), absolute(x), absolute(d_y),
                               {absolute(stale_y), absolute(stale_x), absolute(before)}, output, nullptr);
    CHECK(blas.calls == 3);
    CHECK(within_rounding(actual.y, expected.y, magnitude.y, in));
    CHECK(within_rounding(actual.d_x, expected.d_x, magnitude.d_x, out));
    CHECK(within_rounding(actual.d_weight.matrix(), expected.d_weight.matrix(), magnitude.d_weight.matrix(), rows));
  }
}

TEST_CASE("by default a BLAS is given the products of many rows, and none of a decoded token") {
  using Layer = TttLinear<float>;
  TttConfig config;
  config.width = 256;
  config.heads = 4;
  const suites::LayerRuns<Layer> runs(Layer(config), {});
  const Index large = 300;  // rows
  const auto x = runs.random(large, 1);
  auto own = x, theirs = x;
  Context context;
  auto own_state = runs.fresh(), state = runs.fresh();
  runs.forward(x.view(), {{large, &own_state}}, own.view(), context);
  Counting blas(BlasProducts::default_smallest);
  context.large_products = &blas;
  runs.forward(x.view(), {{large, &state}}, theirs.view(), context);
  CHECK(blas.calls == 4);  // q, k, v and the output; not the learning rates
  const auto close = testing::far_apart<float>(testing::parts_of<float>(theirs.view(), "y")[0].values,
                                               testing::parts_of<float>(own.view(), "y")[0].values, 1e-4);
  INFO(close);
  CHECK(close.empty());
  runs.forward(x.view().rows(0, 1), {{1, &state}}, theirs.view().rows(0, 1), context);
  CHECK(blas.calls == 4);
}
