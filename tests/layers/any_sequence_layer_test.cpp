// SPDX-License-Identifier: MIT
#include "ttt/layers/any_sequence_layer.hpp"

#include <array>
#include <cmath>
#include <vector>

#include "suites/sequence_layer.hpp"
#include "support/archetypes.hpp"
#include "support/compiled_layers.hpp"
#include "support/decay_layer.hpp"
#include "ttt/layers/ttt_linear.hpp"

namespace {

using namespace ttt;
using testing::DecayLayer;
using Any = AnySequenceLayer<double>;

TttLinear<double> ttt_linear() { return TttLinear<double>({.width = 12, .heads = 2, .mini_batch = 4}); }

suites::LayerCase layer_case() {
  suites::LayerCase options{.mini_batch = 4};
  options.prepare = [](std::string_view name, Index, double value) {
    return name == "learnable_token_idx" ? 0.1 * std::abs(value) : value;
  };
  return options;
}

/// A layer of either kind with its weights, one state and room for one call.
struct Setup {
  explicit Setup(Any kind, Index width)
      : layer(std::move(kind)), store(layer.make_parameters()), x(3, width), y(3, width) {
    initialize(store.views(), 1);
    state = layer.initial_state(store.views());
    x = testing::random_matrix<double>(3, width, 2);
  }
  void forward(const Any::Parameters& parameters, Any::Record* record = nullptr) {
    const std::array segments{Segment<Any::State>{3, &state}};
    layer.forward(parameters, x.view(), segments, y.view(), context, record);
  }
  void backward(Any::Record& record, Any::Parameters& gradients, Any::State* d_state) {
    const std::array d_states{d_state};
    layer.backward(store.views(), record, x.view(), y.view(), gradients, d_states, context);
  }

  Any layer;
  ParameterStore<Any::Parameters> store;
  Any::State state;
  testing::Matrix<double> x, y;
  Context context;
};

}  // namespace

TEST_CASE("AnySequenceLayer keeps the contracts of the layer inside") {
  suites::check_sequence_layer(Any(DecayLayer<double>(5)), layer_case());
  suites::check_sequence_layer(AnySequenceLayer<float>(DecayLayer<float>(5)), layer_case());
  suites::check_sequence_layer(Any(ttt_linear()), layer_case());
  suites::check_sequence_layer(Any(testing::TrainableArchetype::make()), layer_case());
}

TEST_CASE("AnySequenceLayer has the bits of the layer inside") {
  const auto inside = ttt_linear();
  const suites::LayerRuns<TttLinear<double>> typed(inside, layer_case());
  const suites::LayerRuns<Any> erased(Any(inside), layer_case());
  const auto x = typed.random(9, 1), d_y = typed.random(9, 2);
  const auto expected = typed.in_pieces({9, typed.fresh(), true}, {4, 5}, x.view(), d_y.view());
  const auto actual = erased.in_pieces({9, erased.fresh(), true}, {4, 5}, x.view(), d_y.view());
  testing::Report report{"erased", 0, {}};
  report.same_bits("y", testing::parts_of(actual.y.view(), "y"), testing::parts_of(expected.y.view(), "y"));
  report.same_bits("state", testing::parts_of_state(actual.states[0]), testing::parts_of_state(expected.states[0]));
  report.same_bits("gradients", testing::parts_of_parameters(actual.gradients.views()),
                   testing::parts_of_parameters(expected.gradients.views()));
  suites::require(report);
  CHECK(actual.states[0].position == 9);
  CHECK(actual.states[0] == expected.states[0]);
  CHECK(Any(inside).get<TttLinear<double>>()->config().width == 12);
  CHECK(Any(inside).get<DecayLayer<double>>() == nullptr);
}

TEST_CASE("Layers of several kinds live in one list") {
  const std::vector<Any> layers{Any(ttt_linear()), Any(DecayLayer<double>(12))};
  testing::Matrix<double> x = testing::random_matrix<double>(3, 12, 1), y(3, 12);
  Context context;
  for (const auto& layer : layers) {
    ParameterStore<Any::Parameters> store(layer.make_parameters());
    initialize(store.views(), 1);
    Any::State state = layer.initial_state(store.views());
    const std::array segments{Segment<Any::State>{3, &state}};
    layer.forward(store.views(), x.view(), segments, y.view(), context);
    CHECK(state.position == 3);
    std::swap(x, y);
  }
}

TEST_CASE("What belongs to another kind of layer is an Error, and nothing changes") {
  Setup decay(Any(DecayLayer<double>(12)), 12), linear(Any(ttt_linear()), 12);
  Any::Record record;
  decay.forward(decay.store.views(), &record);
  auto gradients = ParameterStore<Any::Parameters>(decay.layer.make_parameters());
  auto other_gradients = ParameterStore<Any::Parameters>(linear.layer.make_parameters());
  const auto gradients_before = testing::parts_of_parameters(gradients.views());
  const Any::State before = decay.state;
  const auto unchanged = [&] {
    const auto now = testing::parts_of_parameters(gradients.views());
    for (std::size_t i = 0; i < now.size(); ++i) CHECK(now[i].values == gradients_before[i].values);
    CHECK(decay.state == before);
  };

  SECTION("parameters") { CHECK_THROWS_AS(decay.forward(linear.store.views()), Error); }
  SECTION("parameters of a new state") { CHECK_THROWS_AS(decay.layer.initial_state(linear.store.views()), Error); }
  SECTION("no parameters at all") { CHECK_THROWS_AS(decay.forward(Any::Parameters()), Error); }
  SECTION("state, after one of the right kind") {
    const std::array segments{Segment<Any::State>{1, &decay.state}, Segment<Any::State>{2, &linear.state}};
    CHECK_THROWS_AS(decay.layer.forward(decay.store.views(), decay.x.view(), segments, decay.y.view(), decay.context),
                    Error);
  }
  SECTION("no state at all") {
    Any::State nothing;
    std::swap(decay.state, nothing);
    CHECK_THROWS_AS(decay.forward(decay.store.views()), Error);
    std::swap(decay.state, nothing);
  }
  SECTION("record") {
    Any::Record other;
    CHECK_THROWS_AS(decay.backward(other, gradients.views(), nullptr), Error);
    linear.forward(linear.store.views(), &other);
    CHECK_THROWS_AS(decay.backward(other, gradients.views(), nullptr), Error);
  }
  SECTION("gradients") { CHECK_THROWS_AS(decay.backward(record, other_gradients.views(), nullptr), Error); }
  SECTION("state gradient") { CHECK_THROWS_AS(decay.backward(record, gradients.views(), &linear.state), Error); }
  SECTION("a record of another kind is filled anew by a forward") {
    linear.forward(linear.store.views(), &record);
    CHECK_NOTHROW(linear.backward(record, other_gradients.views(), nullptr));
  }
  unchanged();
}
