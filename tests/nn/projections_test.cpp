// SPDX-License-Identifier: MIT
#include "ttt/nn/projections.hpp"

#include "nn/blocks.hpp"

using namespace ttt;
using kernels::Output;
using numbers::Matrix;
using numbers::Owned;

TEMPLATE_TEST_CASE("several maps go backward as each by itself, in rounds and pieces, on any number of threads", "",
                   float, double) {
  const Index rows = 500, width = 9;
  const Index widths[] = {20, 3, 7};
  std::vector<Owned<TestType>> weights, before;
  std::vector<Matrix<TestType>> d_y;
  for (const Index out : widths) {
    weights.emplace_back(Shape{out, width}, Layout::panels, "weight" + std::to_string(out));
    before.emplace_back(Shape{out, width}, Layout::panels, "before" + std::to_string(out));
    d_y.emplace_back(rows, out, "d_y" + std::to_string(out));
  }
  const Matrix<TestType> x(rows, width, "x"), stale(rows, width, "stale");
  for (const Output output : {Output::assign, Output::accumulate}) {
    Context serial;
    Matrix<TestType> expected = stale;
    auto expected_gradients = before;
    for (std::size_t i = 0; i < 3; ++i)
      nn::linear_backward(*weights[i], x.view(), d_y[i].view(), expected.view(), *expected_gradients[i], serial,
                          i == 0 ? output : Output::accumulate);
    numbers::on_each_executor([&](Context& context) {
      Matrix<TestType> d_x = stale;
      auto gradients = before;
      Tensor<TestType> unwanted(Shape{widths[1], width}, Layout::panels);
      const std::array<nn::Projection<TestType>, 3> maps{
          {{*weights[0], *gradients[0]}, {*weights[1], unwanted}, {*weights[2], *gradients[2]}}};
      const nn::ProjectionsBackward<TestType> projections(maps, context);
      const auto of = [&](Index first, Index count) {
        return std::array<MatrixView<const TestType>, 3>{
            d_y[0].view().rows(first, count), d_y[1].view().rows(first, count), d_y[2].view().rows(first, count)};
      };
      nn::in_rounds(rows, context, [&](Index first, Index count) {
        nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
          projections.input(of(first + row, size), d_x.view().rows(first + row, size), own, output);
        });
        projections.weights(x.view().rows(first, count), of(first, count), context);
      });
      CHECK(numbers::same_bits(d_x, expected));
      CHECK(d_x.gaps_untouched());
      CHECK(gradients[0].values() == expected_gradients[0].values());
      CHECK(gradients[1].values() == before[1].values());
      CHECK(gradients[2].values() == expected_gradients[2].values());
    });
  }
}

TEST_CASE("backward of several maps is the gradient of all") {
  const Index rows = 3, width = 4;
  Owned<double> a({5, width}, Layout::panels, "a"), b({2, width}, Layout::panels, "b");
  Owned<double> d_a({5, width}, Layout::panels), d_b({2, width}, Layout::panels);
  Matrix<double> x(rows, width, "x"), d_x = x, y_a(rows, 5), y_b(rows, 2);
  const Matrix<double> d_y_a(rows, 5, "d_a"), d_y_b(rows, 2, "d_b");
  Context context;
  const std::array<nn::Projection<double>, 2> maps{{{*a, *d_a}, {*b, *d_b}}};
  const nn::ProjectionsBackward<double> projections(maps, context);
  const std::array<MatrixView<const double>, 2> d_y{d_y_a.view(), d_y_b.view()};
  projections.input(d_y, d_x.view(), context);
  projections.weights(x.view(), d_y, context);
  const auto loss = [&] {
    nn::linear_forward(*a, x.view(), y_a.view(), context);
    nn::linear_forward(*b, x.view(), y_b.view(), context);
    return numbers::inner_product(y_a, d_y_a) + numbers::inner_product(y_b, d_y_b);
  };
  numbers::check_gradient(x, d_x, loss);
  numbers::check_tensor_gradient(*a, *d_a, loss);
  numbers::check_tensor_gradient(*b, *d_b, loss);
}
