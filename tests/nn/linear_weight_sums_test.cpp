// SPDX-License-Identifier: MIT
#include "ttt/nn/linear/weight_sums.hpp"

#include <array>
#include <deque>
#include <string>
#include <vector>

#include "nn/blocks.hpp"

using namespace ttt;
using numbers::Matrix;
using numbers::Owned;

namespace {

struct Sizes {
  Index in, out;
};

/// Maps of several shapes over the same rows, some with more tasks than others.
template <class Scalar>
struct Maps {
  static constexpr std::array<Sizes, 4> sizes{{{37, 71}, {1, 3}, {150, 16}, {20, 130}}};

  explicit Maps(Index rows) {
    for (const auto& [in, out] : sizes) {
      x.emplace_back(rows, in, "x" + std::to_string(in));
      d_y.emplace_back(rows, out, "d_y" + std::to_string(out));
      gradients.emplace_back(Shape{out, in}, Layout::panels, "gradient");
    }
  }
  void add_to(nn::WeightSums<Scalar>& sums, std::size_t i) { sums.add(x[i].view(), d_y[i].view(), *gradients[i]); }

  std::deque<Matrix<Scalar>> x, d_y;
  std::deque<Owned<Scalar>> gradients;
};

/// The largest difference of gradients from `before` + d_yᵀ · x in loops, and what rounding allows.
template <class Scalar>
void check_sum(const Owned<Scalar>& gradient, const Matrix<Scalar>& before, const Matrix<Scalar>& x,
               const Matrix<Scalar>& d_y) {
  const Index rows = x.view().rows();
  Matrix<Scalar> expected = before;
  for (Index n = 0; n < rows; ++n)
    for (Index o = 0; o < d_y.view().columns(); ++o)
      for (Index i = 0; i < x.view().columns(); ++i) expected(o, i) += d_y(n, o) * x(n, i);
  const double magnitude = static_cast<double>(rows) * numbers::largest(x) * numbers::largest(d_y) + 4;
  CHECK(numbers::difference(gradient.matrix(), expected) <= numbers::rounding<Scalar>(rows, magnitude));
}

}  // namespace

TEMPLATE_TEST_CASE("maps that read one x, another view of its memory or another x have sums of their own", "", float,
                   double) {
  const Index rows = 50, in = 40;
  const Matrix<TestType> x(rows, in, "x"), other(rows, in, "other"), d_y(rows, 33, "d_y");
  const Index stride = x.view().stride();
  const std::array<MatrixView<const TestType>, 6> views{x.view(),
                                                        x.view(),
                                                        other.view(),
                                                        x.view().columns(0, 20),
                                                        x.view().rows(0, rows / 2),
                                                        {x.view().data(), rows / 2, in, 2 * stride}};
  std::deque<Owned<TestType>> gradients;
  for (const auto& view : views) gradients.emplace_back(Shape{33, view.columns()}, Layout::panels, "gradient");
  Context context;
  nn::WeightSums<TestType> sums(context);
  for (int round = 0; round < 2; ++round) {
    std::vector<Matrix<TestType>> before;
    for (std::size_t i = 0; i < views.size(); ++i) {
      before.push_back(gradients[i].matrix());
      sums.add(views[i], d_y.view().rows(0, views[i].rows()), *gradients[i]);
    }
    sums.add_up();
    for (std::size_t i = 0; i < views.size(); ++i) {
      Matrix<TestType> x_copy(views[i].rows(), views[i].columns()), d_copy(views[i].rows(), 33);
      copy(views[i], x_copy.view());
      copy(MatrixView<const TestType>(d_y.view().rows(0, views[i].rows())), d_copy.view());
      check_sum(gradients[i], before[i], x_copy, d_copy);
    }
  }
}

TEMPLATE_TEST_CASE("gradients of several weights are added up together, each as alone, whatever the threads", "", float,
                   double) {
  for (const Index rows : {0, 1, 50, 700}) {
    Maps<TestType> alone(rows);
    Context serial;
    for (std::size_t i = 0; i < alone.sizes.size(); ++i) {
      const Matrix<TestType> before = alone.gradients[i].matrix();
      nn::WeightSums<TestType> sums(serial);
      alone.add_to(sums, i);
      CHECK(numbers::same_bits(alone.gradients[i].matrix(), before));
      sums.add_up();
      check_sum(alone.gradients[i], before, alone.x[i], alone.d_y[i]);
      sums.add_up();  // nothing is left to add
      check_sum(alone.gradients[i], before, alone.x[i], alone.d_y[i]);
    }
    numbers::on_each_executor([&](Context& context) {
      Maps<TestType> together(rows);
      Tensor<TestType> unwanted(Shape{71, 37}, Layout::panels);
      nn::WeightSums<TestType> sums(context);
      for (std::size_t i = 0; i < together.sizes.size(); ++i) {
        together.add_to(sums, i);
        sums.add(together.x[0].view(), together.d_y[0].view(), unwanted);
      }
      sums.add_up();
      for (std::size_t i = 0; i < together.sizes.size(); ++i)
        CHECK(together.gradients[i].values() == alone.gradients[i].values());
    });
  }
}

TEMPLATE_TEST_CASE("any number of maps can be added", "", float, double) {
  const Index rows = 20;
  std::deque<Matrix<TestType>> x;
  std::deque<Owned<TestType>> gradients;
  std::vector<Matrix<TestType>> before;
  const Matrix<TestType> d_y(rows, 33, "d_y");
  Context context;
  nn::WeightSums<TestType> sums(context);
  for (Index i = 0; i < 19; ++i) {
    x.emplace_back(rows, 5 + i, "x" + std::to_string(i));
    gradients.emplace_back(Shape{33, 5 + i}, Layout::panels, "gradient");
    before.push_back(gradients.back().matrix());
    sums.add(x.back().view(), d_y.view(), *gradients.back());
  }
  sums.add_up();
  for (std::size_t i = 0; i < x.size(); ++i) check_sum(gradients[i], before[i], x[i], d_y);
}
