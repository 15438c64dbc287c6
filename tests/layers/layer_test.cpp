// SPDX-License-Identifier: MIT
#include "ttt/layers/layer.hpp"

#include <array>
#include <type_traits>
#include <vector>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/decay_layer.hpp"
#include "support/error_message.hpp"
#include "support/random_matrix.hpp"
#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/ttt_linear.hpp"

template class ttt::Layer<ttt::AnySequenceLayer<float>>;  // every member, for a definition without a Config

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

template <class Definition>
void reads_the_running_sum(const Layer<Definition>& layer) {
  auto state = layer.initial_state();
  const double x[] = {1, 2, 3};
  double y[3];
  Context context;
  layer.forward({x, 3, 1}, state, {y, 3, 1}, context);
  CHECK(y[2] == 6);
  CHECK(state.position == 3);
}

/// What a forward and a backward of a call leave behind.
template <class Definition>
struct Trained {
  explicit Trained(const Layer<Definition>& layer)
      : x(testing::random_matrix<double>(6, layer.width(), 4)),
        d_y(testing::random_matrix<double>(6, layer.width(), 5)),
        y(6, layer.width()),
        d_x(6, layer.width()),
        gradients(layer.make_gradients()),
        state(layer.initial_state()),
        other(state),
        d_state(state) {}
  bool operator==(const Trained& expected) const {
    const auto gradient_parts = [](const Trained& t) { return testing::parts_of_parameters(t.gradients.views()); };
    testing::Report report{"trained", 0, {}};
    report.same_bits("gradients", gradient_parts(*this), gradient_parts(expected));
    return report.failures.empty() && values(y) == values(expected.y) && values(d_x) == values(expected.d_x) &&
           state == expected.state && d_state == expected.d_state;
  }

  testing::Matrix<double> x, d_y, y, d_x;
  ParameterStore<typename Definition::Parameters> gradients;
  typename Definition::State state, other, d_state;
  typename Layer<Definition>::Record record;
  Context context;
};

/// The calls of `layer` are those of its definition.
template <class Definition>
void trains_as_its_definition(const Layer<Definition>& layer) {
  using State = typename Definition::State;
  const Definition& definition = layer.definition();
  Trained<Definition> expected(layer), actual(layer);
  SECTION("one sequence from its start") {
    const std::array segments{Segment<State>{6, &expected.state, true}};
    definition.forward(layer.parameters(), expected.x.view(), segments, expected.y.view(), expected.context,
                       &expected.record);
    definition.backward(layer.parameters(), expected.record, expected.d_y.view(), expected.d_x.view(),
                        expected.gradients.views(), {}, expected.context);
    layer.forward(actual.x.view(), {6, &actual.state, true}, actual.y.view(), actual.context, actual.record);
    layer.backward(actual.record, actual.d_y.view(), actual.d_x.view(), actual.gradients.views(), actual.context);
  }
  SECTION("one sequence that goes on, with the gradient of its state") {
    const std::array segments{Segment<State>{6, &expected.state}};
    const std::array d_states{&expected.d_state};
    definition.forward(layer.parameters(), expected.x.view(), segments, expected.y.view(), expected.context,
                       &expected.record);
    definition.backward(layer.parameters(), expected.record, expected.d_y.view(), expected.d_x.view(),
                        expected.gradients.views(), d_states, expected.context);
    layer.forward(actual.x.view(), {6, &actual.state}, actual.y.view(), actual.context, actual.record);
    layer.backward(actual.record, actual.d_y.view(), actual.d_x.view(), actual.gradients.views(), actual.d_state,
                   actual.context);
    CHECK_FALSE(actual.d_state == layer.initial_state());
  }
  SECTION("two sequences, one of them with the gradient of its state") {
    const auto segments_of = [](auto& run) {
      return std::array{Segment<State>{2, &run.state}, Segment<State>{4, &run.other, true}};
    };
    const auto segments = segments_of(expected), own_segments = segments_of(actual);
    const std::array<State*, 2> d_states{&expected.d_state, nullptr}, own_d_states{&actual.d_state, nullptr};
    definition.forward(layer.parameters(), expected.x.view(), segments, expected.y.view(), expected.context,
                       &expected.record);
    definition.backward(layer.parameters(), expected.record, expected.d_y.view(), expected.d_x.view(),
                        expected.gradients.views(), d_states, expected.context);
    layer.forward(actual.x.view(), own_segments, actual.y.view(), actual.context, actual.record);
    layer.backward(actual.record, actual.d_y.view(), actual.d_x.view(), actual.gradients.views(), own_d_states,
                   actual.context);
    CHECK(actual.other == expected.other);
  }
  CHECK(actual == expected);
  CHECK(testing::largest_magnitude(values(actual.d_x)) > 0);
}

}  // namespace

TEST_CASE("Layer needs no more than the concept, made from a configuration or given") {
  reads_the_running_sum(Layer<Configured>(Configured::Config(1)));
  const Layer given(testing::Archetype::make());
  reads_the_running_sum(given);
  STATIC_REQUIRE(std::is_same_v<decltype(given), const Layer<testing::Archetype>>);
}

TEST_CASE("Layer trains as its definition does") {
  SECTION("DecayLayer") { trains_as_its_definition(Decay(5, 1)); }
  SECTION("TttLinear") {
    trains_as_its_definition(Layer<TttLinear<double>>({.width = 8, .heads = 2, .mini_batch = 4}, 1));
  }
  SECTION("AnySequenceLayer") {
    trains_as_its_definition(
        Layer(AnySequenceLayer<double>(TttLinear<double>({.width = 8, .heads = 2, .mini_batch = 4})), 1));
  }
}

TEST_CASE("Layer of a layer that is there draws the weights of the one made from its configuration") {
  const TttConfig config{.width = 8, .heads = 2};
  const Layer<TttLinear<float>> made(config, 3);
  const Layer given(TttLinear<float>(config), 3);
  const Layer any(AnySequenceLayer<float>(TttLinear<float>(config)), 3);
  CHECK(given.store().arena() == made.store().arena());
  CHECK(any.store().arena() == made.store().arena());
  CHECK(made.make_gradients().arena() == Buffer<float>(made.store().arena().size()));
}

TEST_CASE("Gradients reach the weights that a State starts from where a segment has reset, and only there") {
  const Decay layer(5, 1);
  Context context;
  for (const bool reset : {true, false}) {
    Trained<testing::DecayLayer<double>> run(layer);
    layer.forward(run.x.view(), {6, &run.state, reset}, run.y.view(), context, run.record);
    layer.backward(run.record, run.d_y.view(), {}, run.gradients.views(), context);
    CHECK((run.gradients.views().initial[0] != 0) == reset);
  }
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

TEST_CASE("A Layer takes and gives its weights by name, row-major") {
  Layer<TttLinear<float>> layer({.width = 12, .heads = 3});
  std::vector<float> counted(144);
  for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = static_cast<float>(i);
  layer.assign("q_proj.weight", {12, 12}, counted);
  CHECK(layer.values("q_proj.weight") == counted);
  CHECK(std::as_const(layer).parameters().query[12 * 5 + 7] == 67);
  CHECK(testing::error_lacks(
            [&] {
              layer.assign("q_proj", {12, 12}, counted);
            },
            {"parameter 'q_proj'", "'q_proj.weight' [12 x 12]", "no such name"}) == "");
  CHECK_THROWS_AS(layer.values("W3"), Error);
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
