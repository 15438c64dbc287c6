// SPDX-License-Identifier: MIT
#include <string>

#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "ttt/models/model_config.hpp"

using namespace ttt;

namespace {

ModelConfig tiny(std::string_view layer) {
  ModelConfig config;
  config.layer = std::string(layer);
  config.vocabulary = 11;
  config.width = 12;
  config.hidden = 10;
  config.depth = 3;
  config.heads = 3;
  config.window = 6;
  config.mini_batch = 5;
  return config;
}

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
  using Any = AnySequenceLayer<float>;
  const auto holds = [](const Any& layer, std::string_view name) {
    if (name == "ttt-linear") return layer.get<TttLinear<float>>() != nullptr;
    if (name == "ttt-mlp") return layer.get<TttMlp<float>>() != nullptr;
    const auto memory = name == "sliding-window" ? AttentionMemory::ring : AttentionMemory::growing;
    return layer.get<Attention<float>>() != nullptr && layer.get<Attention<float>>()->config().memory == memory;
  };
  for (const auto name : layer_names) {
    CAPTURE(name);
    const auto model = make_model<float>(tiny(name));
    CHECK(model.stack().layers().size() == 6);
    CHECK(model.vocabulary() == 11);
    for (const std::size_t i : {0, 2, 4}) CHECK(holds(mixer(model, i).layer(), name));
  }
}

TEST_CASE("what a configuration says reaches the layers and the blocks") {
  ModelConfig config = tiny("ttt-mlp");
  config.backbone = Backbone::mamba;
  config.tied = false;
  config.gate = config.share_query_key = true;
  config.conv_taps = 3;
  config.base_learning_rate = 0.25;
  config.rope_theta = 500;
  config.norm_epsilon = 1e-3;
  const auto model = make_model<float>(config);
  CHECK_FALSE(model.config().tied);
  CHECK(model.stack().layers().size() == 9);
  CHECK(model.stack().layers()[6].layer.get<Residual<ShortConvolution<float>>>()->layer().config().taps == 3);
  CHECK(model.stack().layers()[8].layer.get<Residual<Swiglu<float>>>()->layer().config().hidden == 10);
  CHECK(mixer(model, 7).config() == ResidualConfig{"seq_modeling_block", "seq_norm", "", 1e-3});
  const TttConfig& layer = mixer(model, 7).layer().get<TttMlp<float>>()->config();
  CHECK(layer.heads == 3);
  CHECK(layer.mini_batch == 5);
  CHECK(layer.gate);
  CHECK(layer.share_query_key);
  CHECK(layer.conv_taps == 3);
  CHECK(layer.base_learning_rate == 0.25);
  CHECK(layer.rope_theta == 500);

  ModelConfig window = tiny("sliding-window");
  window.key_value_heads = 1;
  const auto attention = make_layer<float>(window).get<Attention<float>>()->config();
  CHECK(attention.window == 6);
  CHECK(attention.key_value_heads == 1);
  CHECK(attention_config(tiny("attention")).window == 0);
}

TEST_CASE("options of attention reach the layers, and blocks may differ in the rotary embedding") {
  ModelConfig config = tiny("attention");
  config.norm_epsilon = 1e-3;
  config.attention.head_channels = 10;
  config.attention.bias = config.attention.query_key_norm = true;
  config.attention.rotary_scaling = {.kind = kernels::RotaryScaling::Kind::linear, .factor = 3};
  config.attention.rotary = {true, false, true};
  CHECK(config.head_width() == 10);
  CHECK(tiny("attention").head_width() == 4);
  const auto model = make_model<float>(config);
  for (std::size_t block = 0; block < 3; ++block) {
    const AttentionConfig& layer = mixer(model, 2 * block).layer().get<Attention<float>>()->config();
    CHECK(layer.head_channels == 10);
    CHECK((layer.bias && layer.query_key_norm));
    CHECK(layer.norm_epsilon == 1e-3);
    CHECK(layer.rotary_scaling == config.attention.rotary_scaling);
    CHECK(layer.rotary == (block != 1));
  }
}

TEST_CASE("the published models follow from layer and backbone") {
  ModelConfig config = tiny("ttt-linear");
  config.backbone = Backbone::mamba;
  CHECK(published(config).gate);
  CHECK(published(config).share_query_key);
  CHECK(published(config).base_learning_rate == 1);
  CHECK_FALSE(published(tiny("ttt-linear")).gate);
  CHECK(published(tiny("ttt-mlp")).base_learning_rate == 0.1);
  config.layer = "attention";
  CHECK_FALSE(published(config).gate);
  CHECK_FALSE(published(config).share_query_key);
}

TEST_CASE("sizes of the published models") {
  ModelConfig config = with_published_size(tiny("ttt-mlp"), "760m");
  CHECK(config.width == 1536);
  CHECK(config.hidden == 4096);
  CHECK(config.depth == 24);
  CHECK(config.heads == 16);
  CHECK(config.layer == "ttt-mlp");
  CHECK(config.vocabulary == tiny("ttt-mlp").vocabulary);
  // About what the names say, with the published vocabulary and backbone.
  const auto millions = [](std::string_view name) {
    ModelConfig sized = with_published_size({}, name);
    sized.vocabulary = 32000;
    sized.backbone = Backbone::mamba;
    return static_cast<double>(count(make_model<float>(published(sized)).make_parameters())) / 1e6;
  };
  CHECK(millions("125m") == Approx(125).epsilon(0.15));
  CHECK(millions("350m") == Approx(350).epsilon(0.1));
  CHECK(millions("760m") == Approx(760).epsilon(0.1));
  CHECK(millions("1b") == Approx(1300).epsilon(0.1));
  CHECK_THROWS_WITH(with_published_size({}, "7b"),
                    "size of the model: expected one of 125m, 350m, 760m, 1b, found '7b'");
}

TEST_CASE("configurations that make no model are refused by name") {
  ModelConfig config = tiny("rwkv");
  CHECK(refusal(config) == "layer: expected one of ttt-linear, ttt-mlp, attention, sliding-window, found 'rwkv'");
  config = tiny("ttt-linear");
  config.depth = 0;
  CHECK(refusal(config) == "depth: expected at least 1, found 0");
  config = tiny("ttt-linear");
  config.heads = 5;
  CHECK(refusal(config) == "TTT layer: width: expected a multiple of heads = 5, found 12");
  config.heads = 4;
  CHECK(refusal(config) == "TTT layer: head width: expected an even number, for the rotary embedding, found 3");
  config = tiny("attention");
  config.heads = 5;
  CHECK(refusal(config) == "attention option heads: expected a divisor of the width 12, found 5");
  config = tiny("sliding-window");
  config.window = 0;
  CHECK(refusal(config) == "attention option window: expected at least 1, for a ring as memory, found 0");
  config = tiny("attention");
  config.attention.rotary = {true, false};
  CHECK(refusal(config) == "attention option rotary: expected one entry for each of the 3 blocks, found 2");
  config = tiny("ttt-linear");
  config.attention.bias = true;
  CHECK(refusal(config) == "layer ttt-linear: expected no options of attention, found some");
  config = tiny("ttt-linear");
  config.vocabulary = 0;
  CHECK(refusal(config) == "vocabulary: expected at least 1, found 0");
  config = tiny("ttt-linear");
  config.hidden = 0;
  CHECK(refusal(config) == "hidden width of the MLP: expected at least 1, found 0");
}
