// SPDX-License-Identifier: MIT
#include "ttt/models/residual.hpp"

#include <string>
#include <vector>

#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/decay_layer.hpp"
#include "support/error_message.hpp"
#include "ttt/layers/swiglu.hpp"
#include "ttt/layers/ttt_linear.hpp"

using namespace ttt;

namespace {

constexpr Index mini_batch = 4, width = 18;
const ResidualConfig plain, sandwich{"layer", "norm", "post_norm"}, behind{"layer", "", "post_norm"}, bare{"layer", ""};

template <class Scalar>
Residual<TttLinear<Scalar>> residual(const ResidualConfig& config) {
  return Residual(config, TttLinear<Scalar>({.width = width, .heads = 3, .mini_batch = mini_batch}));
}

// Keeps the position factors 1/r + learned_r of the layer off their clamp at zero, and its inner layer norm off the
// small variances at which central differences have truncation errors of their own.
const suites::LayerCase options{
    .mini_batch = mini_batch, .spread = 0.3, .prepare = [](std::string_view name, Index index, double value) {
      return name.ends_with("learnable_token_idx") ? 0.1 / static_cast<double>(index + 1) : value;
    }};

template <class Model>
std::vector<std::string> names_of(const Model& model) {
  auto parameters = model.make_parameters();
  std::vector<std::string> names;
  parameters.visit([&](std::string_view name, auto&, const ParameterInfo&) { names.emplace_back(name); });
  return names;
}

}  // namespace

TEST_CASE("A residual is a sequence layer, with norms in front, behind, on both sides and without") {
  suites::check_sequence_layer(residual<double>(plain), options);
  suites::check_sequence_layer(residual<float>(sandwich), options);
  suites::check_sequence_layer(Residual(sandwich, testing::DecayLayer<double>(5)));
  suites::check_sequence_layer(Residual(behind, testing::DecayLayer<double>(5)));
  suites::check_sequence_layer(Residual(bare, testing::DecayLayer<double>(5)));
  suites::check_sequence_layer(Residual(sandwich, Swiglu<double>({6, 7})));
  suites::check_sequence_layer(Residual({"layer", "norm", "post_norm", 1e-6, true}, testing::DecayLayer<double>(5)));
  for (ResidualConfig config : {plain, sandwich, bare}) {
    config.scale = 0.3;
    suites::check_sequence_layer(Residual(config, testing::DecayLayer<double>(5)));
  }
}

TEST_CASE("A residual is x + scale · post(layer(pre(x)))") {
  const double scale = GENERATE(1.0, 0.25);
  ResidualConfig config = sandwich;
  config.scale = scale;
  const Residual layer(config, Swiglu<double>({6, 7}));
  ParameterStore<Residual<Swiglu<double>>::Parameters> store(layer.make_parameters());
  auto& weights = store.views();
  suites::draw_weights(weights, options);
  const auto x = testing::random_matrix<double>(5, 6, 2);
  testing::Matrix<double> y(5, 6), expected(5, 6), branch(5, 6);
  Context context;
  auto state = layer.initial_state(weights);
  const Segment<State<double>> segment{5, &state};
  layer.forward(weights, x.view(), {&segment, 1}, y.view(), context);
  nn::rms_norm_forward(weights.norm, x.view(), 1e-6, expected.view(), context);
  nn::swiglu_forward<double>(weights.layer, expected.view(), branch.view(), context);
  nn::rms_norm_forward(weights.post_norm, branch.view(), 1e-6, expected.view(), context);
  for (Index r = 0; r < 5; ++r)
    for (Index c = 0; c < 6; ++c) CHECK(y(r, c) == scale * expected(r, c) + x(r, c));
}

TEST_CASE("A residual names its parameters as it is told") {
  const auto names = names_of(residual<float>({"seq_modeling_block", "seq_norm", "post_norm"}));
  CHECK(names.front() == "seq_norm.weight");
  CHECK(names[1].starts_with("seq_modeling_block."));
  CHECK(names.back() == "post_norm.weight");
  CHECK(names_of(residual<float>(bare)).size() + 2 == names.size());
}

TEST_CASE("The d_x of a residual's backward may be its d_y, and may be left out") {
  const ResidualConfig scaled{"layer", "norm", "", 1e-6, false, 0.3};
  for (const ResidualConfig& config : {plain, sandwich, bare, scaled}) {
    const auto model = residual<double>(config);
    using Parameters = Residual<TttLinear<double>>::Parameters;
    ParameterStore<Parameters> store(model.make_parameters()), first(model.make_parameters());
    initialize(store.views(), 1);
    auto second = first, third = first;
    auto state = model.initial_state(store.views());
    const auto x = testing::random_matrix<double>(7, width, 2), d_y = testing::random_matrix<double>(7, width, 3);
    testing::Matrix<double> y(7, width), d_x(7, width);
    auto in_place = d_y;
    Residual<TttLinear<double>>::Record record;
    Context context;
    const Segment<State<double>> segment{7, &state, true};
    model.forward(store.views(), x.view(), {&segment, 1}, y.view(), context, &record);
    model.backward(store.views(), record, d_y.view(), d_x.view(), first.views(), {}, context);
    model.backward(store.views(), record, in_place.view(), in_place.view(), second.views(), {}, context);
    model.backward(store.views(), record, d_y.view(), {}, third.views(), {}, context);
    for (Index r = 0; r < 7; ++r)
      for (Index c = 0; c < width; ++c) REQUIRE(in_place(r, c) == d_x(r, c));
    CHECK(first.arena() == second.arena());
    CHECK(first.arena() == third.arena());
    CHECK(record.memory.bytes() + model.layer().record_bytes(7) == model.record_bytes(7));
  }
}

TEST_CASE("A residual that cannot be is refused by name") {
  const auto message = [](double epsilon, double scale = 1) {
    return testing::error_message([&] {
      Residual({"layer", "norm", "", epsilon, false, scale}, testing::DecayLayer<float>(4), "block 7");
    });
  };
  CHECK(message(1e-6) == "");
  CHECK(message(0).starts_with("block 7: norm_epsilon: expected"));
  CHECK(message(1e-6, 0).starts_with("block 7: scale: expected"));
}
