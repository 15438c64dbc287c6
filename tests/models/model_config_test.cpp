// SPDX-License-Identifier: MIT
#include "ttt/models/model_config.hpp"

#include <string>

#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "support/tiny_config.hpp"

using namespace ttt;
using testing::options_of;
using testing::tiny_config;

namespace {

/// Residual i of a model, around the layer that its configuration names.
const Residual<AnySequenceLayer<float>>& mixer(const CausalLm<float>& model, std::size_t i) {
  const auto* residual = model.stack().layers()[i].layer.get<Residual<AnySequenceLayer<float>>>();
  REQUIRE(residual);
  return *residual;
}

std::string refusal(const ModelConfig& config) {
  return testing::error_message([&] { make_model<float>(config); });
}

}  // namespace

TEST_CASE("a model has the layer that its configuration names, in every block") {
  for (const auto name : LayerKinds::names) {
    CAPTURE(name);
    const auto model = make_model<float>(tiny_config(name));
    CHECK(model.stack().layers().size() == 4);
    CHECK(model.vocabulary() == 11);
    for (const std::size_t i : {0, 2})
      CHECK(LayerKinds::with(name, [&]<class Kind>(Kind) {
        return mixer(model, i).layer().get<typename Kind::template Layer<float>>() != nullptr;
      }));
  }
}

TEST_CASE("what a configuration says reaches the layers and the blocks") {
  ModelConfig config = tiny_config("ttt-mlp", Backbone::mamba);
  config.tied = false;
  config.norm_epsilon = 1e-3;
  config.pattern.front().conv_taps = 3;
  options_of<TttConfig>(config).base_learning_rate = 0.25;
  options_of<TttConfig>(config).conv_taps = 2;
  const auto model = make_model<float>(config);
  CHECK_FALSE(model.config().tied);
  CHECK(model.config().norm_epsilon == 1e-3);
  CHECK(model.stack().layers().size() == 6);
  CHECK(model.stack().layers()[3].layer.get<Residual<ShortConvolution<float>>>()->layer().config().taps == 3);
  CHECK(model.stack().layers()[5].layer.get<Residual<Swiglu<float>>>()->layer().config().hidden == 10);
  CHECK(mixer(model, 4).config() == ResidualConfig{"seq_modeling_block", "seq_norm", "", 1e-3});
  const TttConfig& layer = mixer(model, 4).layer().get<TttMlp<float>>()->config();
  CHECK(layer.width == 12);
  CHECK(layer.heads == 3);
  CHECK(layer.mini_batch == 5);
  CHECK(layer.conv_taps == 2);
  CHECK(layer.base_learning_rate == 0.25);
}

TEST_CASE("a pattern of several blocks is repeated") {
  ModelConfig config = tiny_config("sliding-window");
  config.depth = 5;
  config.pattern.push_back({testing::tiny_layer("gated-delta-net"), Backbone::mamba, 0});
  config.pattern.push_back({testing::tiny_layer("attention"), Backbone::transformer, 7});
  CHECK(config.layers() == "sliding-window,gated-delta-net,attention");
  const auto model = make_model<float>(config);
  std::string names;
  for (const auto& layer : model.stack().layers()) names += std::to_string(layer.block) + layer.name + " ";
  CHECK(names ==
        "0seq_modeling_block 0mlp 1conv.conv 1seq_modeling_block 2seq_modeling_block 2mlp "
        "3seq_modeling_block 3mlp 4conv.conv 4seq_modeling_block ");
  CHECK(mixer(model, 3).layer().get<GatedDeltaNet<float>>());
  CHECK(mixer(model, 4).layer().get<Attention<float>>()->config().window == 0);
  CHECK(model.stack().layers()[5].layer.get<Residual<Swiglu<float>>>()->layer().config().hidden == 7);
  CHECK(mixer(model, 6).layer().get<Attention<float>>()->config().window == 7);
  CHECK(mixer(model, 9).layer().get<GatedDeltaNet<float>>());
}

TEST_CASE("the text of a block has the options of all its layers") {
  BlockDescription block{LayerDescription::parse("attention:window=8")};
  CHECK(block.text() == "attention:window=8");
  block.beside = {LayerDescription::parse("mamba2"), LayerDescription::parse("ttt-linear:mini_batch=4")};
  CHECK(block.text() == "attention:window=8+mamba2+ttt-linear:mini_batch=4");
}

TEST_CASE("layers side by side in one block are their gated sum") {
  ModelConfig config = tiny_config("attention");
  config.pattern.front().beside = {testing::tiny_layer("mamba2"), testing::tiny_layer("ttt-linear")};
  CHECK(config.layers() == "attention+mamba2+ttt-linear");
  const auto model = make_model<float>(config);
  const auto* parallel = mixer(model, 0).layer().get<Parallel<float>>();
  REQUIRE(parallel);
  REQUIRE(parallel->layers().size() == 3);
  CHECK(parallel->layers()[0].get<Attention<float>>());
  CHECK(parallel->layers()[1].get<Mamba2<float>>());
  CHECK(parallel->layers()[2].get<TttLinear<float>>());
}

TEST_CASE("blocks of their own become the shortest pattern") {
  const BlockDescription linear, attention{LayerDescription("attention")};
  const auto pattern = [](std::vector<BlockDescription> blocks) {
    ModelConfig config;
    const auto depth = static_cast<Index>(blocks.size());
    config.set_blocks(std::move(blocks));
    CHECK(config.depth == depth);
    return config.layers();
  };
  CHECK(pattern({linear, linear, linear}) == "ttt-linear");
  CHECK(pattern({attention, linear, attention, linear, attention}) == "attention,ttt-linear");
  CHECK(pattern({attention, attention, linear}) == "attention,attention,ttt-linear");
  CHECK(pattern({linear}) == "ttt-linear");
  const auto repeated = [](Index depth, std::vector<BlockDescription> blocks) {
    ModelConfig config;
    config.depth = depth;
    config.set_pattern(std::move(blocks));
    CHECK(config.depth == depth);
    return config.layers();
  };
  CHECK(repeated(9, {linear, linear}) == "ttt-linear");
  CHECK(repeated(9, {linear, attention, linear}) == "ttt-linear,attention,ttt-linear");
  CHECK(repeated(3, {linear, attention, linear}) == "ttt-linear,attention");
  CHECK(repeated(1, {linear, attention}) == "ttt-linear");
  CHECK(repeated(8, {linear, attention, linear, attention}) == "ttt-linear,attention");
}

TEST_CASE("the published models follow from layer and backbone") {
  ModelConfig config = tiny_config("ttt-linear", Backbone::mamba);
  CHECK(options_of<TttConfig>(config).gate);
  CHECK(options_of<TttConfig>(config).share_query_key);
  CHECK(options_of<TttConfig>(config).base_learning_rate == 1.0);
  config = tiny_config("ttt-mlp");
  CHECK_FALSE(options_of<TttConfig>(config).gate);
  CHECK(options_of<TttConfig>(config).base_learning_rate == 0.1);
  config = tiny_config("attention", Backbone::mamba);
  CHECK(options_of<AttentionConfig>(config) == options_of<AttentionConfig>(config = tiny_config("attention")));
}

TEST_CASE("sizes of the published models") {
  const PublishedSize& size = published_size("760m");
  CHECK(size.width == 1536);
  CHECK(size.hidden == 4096);
  CHECK(size.depth == 24);
  CHECK(size.heads == 16);
  // About what the names say, with the published vocabulary and backbone.
  const auto millions = [](std::string_view name) {
    const PublishedSize& published = published_size(name);
    LayerDescription layer("ttt-linear");
    layer.find<TttConfig>()->heads = published.heads;
    ModelConfig config{.vocabulary = 32000, .width = published.width, .depth = published.depth};
    config.pattern = {published_block(layer, Backbone::mamba, published.hidden)};
    return static_cast<double>(count(make_model<float>(config).make_parameters())) / 1e6;
  };
  CHECK(millions("125m") == Approx(125).epsilon(0.15));
  CHECK(millions("350m") == Approx(350).epsilon(0.1));
  CHECK(millions("760m") == Approx(760).epsilon(0.1));
  CHECK(millions("1b") == Approx(1300).epsilon(0.1));
  CHECK_THROWS_WITH(published_size("7b"), "size of the model: expected one of 125m, 350m, 760m, 1b, found '7b'");
}

TEST_CASE("configurations that make no model are refused by name") {
  const auto message = [](std::string_view layer, auto change) {
    ModelConfig config = tiny_config(layer);
    change(config);
    return refusal(config);
  };
  CHECK(message("ttt-linear", [](auto& c) { c.depth = 0; }) == "depth: expected at least 1, found 0");
  CHECK(message("ttt-linear", [](auto& c) { c.pattern.clear(); }) ==
        "blocks of the pattern: expected at least 1, found 0");
  CHECK(message("ttt-linear", [](auto& c) { c.vocabulary = 0; }) == "vocabulary: expected at least 1, found 0");
  CHECK(message("ttt-linear", [](auto& c) { c.pattern.front().hidden = -1; }) ==
        "hidden width of the MLP: expected at least 1, found -1");
  CHECK(message("ttt-linear", [](auto& c) { options_of<TttConfig>(c).heads = 5; }) ==
        "TTT layer: width: expected a multiple of heads = 5, found 12");
  CHECK(message("ttt-linear", [](auto& c) { options_of<TttConfig>(c).heads = 4; }) ==
        "TTT layer: head width: expected an even number, for the rotary embedding, found 3");
  CHECK(message("attention", [](auto& c) { options_of<AttentionConfig>(c).heads = 5; }) ==
        "attention option heads: expected a divisor of the width 12, found 5");
  CHECK(message("sliding-window", [](auto& c) { options_of<AttentionConfig>(c).window = 0; }) ==
        "attention option window: expected at least 1, for a ring as memory, found 0");
}
