// SPDX-License-Identifier: MIT
#include "ttt/nn/low_rank.hpp"

#include <string>
#include <vector>

#include "nn/blocks.hpp"

using namespace ttt;
using numbers::Matrix;

namespace {

constexpr Index inputs = 5, outputs = 7;

template <class Scalar>
ParameterStore<nn::LowRankParameters<Scalar>> make_store(Index rank, bool has_bias) {
  ParameterStore<nn::LowRankParameters<Scalar>> store{nn::LowRankParameters<Scalar>(inputs, outputs, rank, has_bias)};
  store.views().visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const RandomStream random(3, name);
    for (Index i = 0; i < tensor.size(); ++i)
      tensor[i] = static_cast<Scalar>(random.normal(static_cast<std::uint64_t>(i)));
  });
  return store;
}

std::vector<std::string> names_of(nn::LowRankParameters<double> parameters) {
  std::vector<std::string> names;
  parameters.visit([&](std::string_view name, Tensor<double>&, const ParameterInfo&) { names.emplace_back(name); });
  return names;
}

}  // namespace

TEST_CASE("a map has the parameters of its rank") {
  CHECK(names_of({inputs, outputs, 2, true}) == std::vector<std::string>{"0.weight", "1.weight", "1.bias"});
  CHECK(names_of({inputs, outputs, 2, false}) == std::vector<std::string>{"0.weight", "1.weight"});
  CHECK(names_of({inputs, outputs, 0, true}) == std::vector<std::string>{"weight"});
}

TEST_CASE("a map of low rank is the product of its two, plus a bias") {
  const Index rows = 150;
  const Matrix<double> x(rows, inputs, "x");
  for (const Index rank : {0, 1, 3})
    for (const bool has_bias : {false, true}) {
      CAPTURE(rank, has_bias);
      const auto store = make_store<double>(rank, has_bias);
      const auto& map = store.views();
      Matrix<double> expected(rows, outputs);
      for (Index r = 0; r < rows; ++r)
        for (Index o = 0; o < outputs; ++o) {
          expected(r, o) = has_bias && rank > 0 ? map.bias[o] : 0;
          for (Index c = 0; c < inputs; ++c) {
            double weight = rank > 0 ? 0 : map.first[o * inputs + c];
            for (Index k = 0; k < rank; ++k) weight += map.second[o * rank + k] * map.first[k * inputs + c];
            expected(r, o) += weight * x(r, c);
          }
        }
      Arena memory;
      const nn::LowRankRows<double> y(rows, outputs, rank, memory);
      numbers::on_each_executor([&](Context& context) {
        nn::low_rank_forward<double>(map, x.view(), y, context);
        Matrix<double> out(rows, outputs);
        copy(MatrixView<const double>(y.out), out.view());
        CHECK(numbers::difference(out, expected) <= numbers::rounding<double>(20, numbers::largest(expected)));
      });
    }
}

TEST_CASE("backward of a map of low rank is its gradient, and goes on from the narrow rows") {
  const Index rows = 3, rank = 2;
  auto store = make_store<double>(rank, true);
  ParameterStore<nn::LowRankParameters<double>> gradients{nn::LowRankParameters<double>(inputs, outputs, rank, true)};
  auto& map = store.views();
  auto& d_map = gradients.views();
  Matrix<double> x(rows, inputs, "x"), d_x(rows, inputs), y(rows, outputs);
  const Matrix<double> d_y(rows, outputs, "d_y");
  Context context;
  Arena memory;
  const nn::LowRankRows<double> values(rows, outputs, rank, memory), d(rows, outputs, rank, memory);
  const auto loss = [&] {
    nn::low_rank_forward<double>(map, x.view(), values, context);
    copy(MatrixView<const double>(values.out), y.view());
    return numbers::inner_product(y, d_y);
  };
  loss();
  copy(d_y.view(), d.out);
  nn::low_rank_backward<double>(map, values, d, d_map, context);
  nn::linear_backward<double>(map.first, x.view(), d.narrow, d_x.view(), d_map.first, context);
  numbers::check_gradient(x, d_x, loss);
  numbers::check_tensor_gradient(map.first, d_map.first, loss);
  numbers::check_tensor_gradient(map.second, d_map.second, loss);
  numbers::check_tensor_gradient(map.bias, d_map.bias, loss);
}
