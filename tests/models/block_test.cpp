// SPDX-License-Identifier: MIT
#include "ttt/models/block.hpp"

#include <string>
#include <vector>

#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "ttt/layers/ttt_linear.hpp"

using namespace ttt;

namespace {

constexpr Index mini_batch = 4, width = 18, hidden = 10;

template <class Scalar>
Block<TttLinear<Scalar>> block(bool temporal_conv, Index taps = 4) {
  TttConfig config;
  config.width = width;
  config.heads = 3;
  config.mini_batch = mini_batch;
  return {{width, hidden, temporal_conv, taps}, TttLinear<Scalar>(config)};
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

TEST_CASE("A block is a sequence layer") {
  suites::check_sequence_layer(block<double>(false), options);
  suites::check_sequence_layer(block<float>(false), options);
}

TEST_CASE("A block with a temporal convolution is a sequence layer") {
  suites::check_sequence_layer(block<double>(true), options);
  suites::check_sequence_layer(block<float>(true, 3), options);
  suites::check_sequence_layer(block<double>(true, 1), options);
}

TEST_CASE("A block names its parameters as published") {
  const auto names = names_of(block<float>(true));
  const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const char* name : {"conv.norm.weight", "conv.conv.weight", "conv.conv.bias", "seq_norm.weight",
                           "ffn_norm.weight", "seq_modeling_block.W1", "seq_modeling_block.q_proj.weight",
                           "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"})
    CHECK((has(name) ? "" : name) == std::string());
  const auto without = names_of(block<float>(false));
  CHECK(names.size() == without.size() + 3);
  CHECK(block<float>(true).make_parameters().conv->conv.weight.shape() == Shape{width, 1, 4});
}

TEST_CASE("The d_x of a block's backward may be its d_y, and may be left out") {
  for (const bool temporal_conv : {false, true}) {
    const auto model = block<double>(temporal_conv);
    ParameterStore<Block<TttLinear<double>>::Parameters> store(model.make_parameters()), first(model.make_parameters());
    initialize(store.views(), 1);
    auto second = first, third = first;
    auto state = model.initial_state(store.views());
    const auto x = testing::random_matrix<double>(7, width, 2), d_y = testing::random_matrix<double>(7, width, 3);
    testing::Matrix<double> y(7, width), d_x(7, width);
    auto in_place = d_y;
    Block<TttLinear<double>>::Record record;
    Context context;
    const Segment<Block<TttLinear<double>>::State> segment{7, &state, true};
    model.forward(store.views(), x.view(), {&segment, 1}, y.view(), context, &record);
    model.backward(store.views(), record, d_y.view(), d_x.view(), first.views(), {}, context);
    model.backward(store.views(), record, in_place.view(), in_place.view(), second.views(), {}, context);
    model.backward(store.views(), record, d_y.view(), {}, third.views(), {}, context);
    for (Index r = 0; r < 7; ++r)
      for (Index c = 0; c < width; ++c) REQUIRE(in_place(r, c) == d_x(r, c));
    CHECK(first.arena() == second.arena());
    CHECK(first.arena() == third.arena());
  }
}

TEST_CASE("A block that cannot be is refused by name") {
  const auto message = [](const BlockConfig& config) {
    TttConfig layer;
    layer.width = width;
    layer.heads = 3;
    return testing::error_message([&] { Block<TttLinear<float>>(config, TttLinear<float>(layer), "block 7"); });
  };
  CHECK(message({width, hidden}) == "");
  CHECK(message({width + 1, hidden}) == "block 7: width of its layer: expected 19, found 18");
  CHECK(message({width, 0}) == "block 7: hidden width of the MLP: expected at least 1, found 0");
  CHECK(message({0, hidden}) == "block 7: width: expected at least 1, found 0");
  CHECK(message({width, hidden, true, 0}) == "block 7: taps of the temporal convolution: expected at least 1, found 0");
  CHECK(message({width, hidden, false, 0}) == "");
}

TEST_CASE("record_bytes of a block is what a record takes") {
  for (const bool temporal_conv : {false, true}) {
    const auto model = block<float>(temporal_conv);
    ParameterStore<Block<TttLinear<float>>::Parameters> store(model.make_parameters());
    auto state = model.initial_state(store.views());
    testing::Matrix<float> x(40, width), y(40, width);
    Block<TttLinear<float>>::Record record;
    Context context;
    const Segment<Block<TttLinear<float>>::State> segment{40, &state};
    model.forward(store.views(), x.view(), {&segment, 1}, y.view(), context, &record);
    CHECK(record.memory.bytes() + model.layer().record_bytes(40) == model.record_bytes(40));
  }
}
