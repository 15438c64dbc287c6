// SPDX-License-Identifier: MIT
#include "ttt/layers/layer.hpp"

#include <array>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/decay_layer.hpp"
#include "support/random_matrix.hpp"
#include "ttt/layers/ttt_linear.hpp"

namespace {

using namespace ttt;
using Decay = Layer<testing::DecayLayer<double>>;

/// An archetype with the one thing more that an owner needs: a configuration to be made from.
struct Configured : testing::Archetype {
  struct Config {
    explicit Config(int) {}
  };
  explicit Configured(const Config&) {}
};

testing::Matrix<double> read(const Decay& layer, const testing::Matrix<double>& x, Decay::State& state) {
  testing::Matrix<double> y(x.rows(), x.columns());
  Context context;
  layer.forward(x.view(), state, y.view(), context);
  return y;
}

std::vector<double> values(const testing::Matrix<double>& matrix) {
  return testing::parts_of(matrix.view(), "values")[0].values;
}

}  // namespace

TEST_CASE("Layer needs no more than the concept and a configuration") {
  const Layer<Configured> layer(Configured::Config(1));
  auto state = layer.initial_state();
  const double x[] = {1, 2, 3};
  double y[3];
  Context context;
  layer.forward({x, 3, 1}, state, {y, 3, 1}, context);
  CHECK(y[2] == 6);
  CHECK(state.position == 3);
}

TEST_CASE("Layer draws its weights from the seed") {
  const Decay one(7, 1), same(7, 1), other(7, 2);
  const auto weights = [](const Decay& layer) { return testing::parts_of_parameters(layer.parameters()); };
  for (std::size_t i = 0; i < weights(one).size(); ++i) CHECK(weights(one)[i].values == weights(same)[i].values);
  CHECK(weights(one)[2].name == "initial");
  CHECK_FALSE(weights(one)[2].values == weights(other)[2].values);
  CHECK(testing::largest_magnitude(weights(one)[2].values) > 0);
  CHECK(one.width() == 7);
  CHECK(one.definition().width() == 7);
}

TEST_CASE("A Layer is a value with weights of its own") {
  Decay layer(5, 1);
  const auto x = testing::random_matrix<double>(4, 5, 3);
  auto state = layer.initial_state();
  const auto y = read(layer, x, state);

  Decay copy = layer;
  copy.parameters().decay[0] += 1;
  auto again = layer.initial_state(), changed = copy.initial_state();
  CHECK(values(read(layer, x, again)) == values(y));
  CHECK_FALSE(values(read(copy, x, changed)) == values(y));

  copy = layer;
  auto third = copy.initial_state();
  CHECK(values(read(copy, x, third)) == values(y));
  const Decay moved = std::move(copy);
  auto fourth = moved.initial_state();
  CHECK(values(read(moved, x, fourth)) == values(y));
}

TEST_CASE("A Layer reads one sequence in pieces, or many segments, as its definition does") {
  Decay layer(5, 1);
  const auto x = testing::random_matrix<double>(6, 5, 4);
  auto state = layer.initial_state();
  const auto y = read(layer, x, state);

  auto pieces = layer.initial_state();
  testing::Matrix<double> y_pieces(6, 5);
  Context context;
  layer.forward(x.rows(0, 2), pieces, y_pieces.rows(0, 2), context);
  layer.forward(x.rows(2, 4), pieces, y_pieces.rows(2, 4), context);
  CHECK(values(y_pieces) == values(y));
  CHECK(pieces == state);

  auto first = layer.initial_state(), second = layer.initial_state();
  const std::array segments{Segment<Decay::State>{2, &first}, Segment<Decay::State>{4, &second}};
  testing::Matrix<double> y_segments(6, 5), expected(6, 5);
  layer.forward(x.view(), segments, y_segments.view(), context);
  auto alone = layer.initial_state();
  layer.definition().forward(layer.store().views(), x.rows(2, 4), std::array{Segment<Decay::State>{4, &alone}},
                             expected.rows(2, 4), context);
  CHECK(second == alone);
  CHECK(values(y_segments)[29] == values(expected)[29]);
}

TEST_CASE("A configuration that makes no layer is an Error") {
  CHECK_THROWS_AS(Layer<TttLinear<float>>({.width = 10, .heads = 3}), Error);
}
