// SPDX-License-Identifier: MIT
#include "ttt/layers/layer_description.hpp"

#include <string>

#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "support/tiny_config.hpp"

using namespace ttt;
using testing::error_message;

TEST_CASE("every kind of layer is described, made and described again by its text") {
  for (const auto name : LayerKinds::names) {
    CAPTURE(name);
    CHECK(LayerDescription(name).text() == name);
    LayerDescription layer = testing::tiny_layer(name);
    CHECK(LayerDescription::parse(layer.text()) == layer);
    CHECK(layer.make<float>(12).width() == 12);
    CHECK(layer.make<double>(24).width() == 24);
    CHECK_FALSE(layer.option_names().empty());
    // A change of any option is in the text, and comes back.
    for (const std::string& option : layer.option_names()) {
      CAPTURE(option);
      LayerDescription changed = layer;
      std::string words;
      changed.visit([&](const char* each, auto& value, const char* what) {
        CHECK(std::string(what) != "");
        if (each != option) return;
        using Value = std::remove_reference_t<decltype(value)>;
        if constexpr (std::is_enum_v<Value>)
          words =
              names_of(value).front() == option_text::text(value) ? names_of(value).back() : names_of(value).front();
        else
          words = std::is_same_v<Value, bool> ? (option_text::text(value) == "true" ? "false" : "true") : "77";
      });
      changed.set(option, words);
      CHECK(changed != layer);
      CHECK(changed.text().find(":" + option + "=" + words) != std::string::npos);
      CHECK(LayerDescription::parse(changed.text()) == changed);
    }
  }
}

TEST_CASE("options reach the layer") {
  const auto layer = LayerDescription::parse("attention:heads=6:key_value_heads=2:rope_type=linear:rope_factor=2.5");
  const AttentionConfig config = layer.make<float>(36).get<Attention<float>>()->config();
  CHECK(config.width == 36);
  CHECK(config.heads == 6);
  CHECK(config.key_value_heads == 2);
  CHECK(config.rotary_scaling.kind == kernels::RotaryScaling::Kind::linear);
  CHECK(config.rotary_scaling.factor == 2.5);
  CHECK(LayerDescription("attention", AttentionConfig{.heads = 2}).text() == "attention:heads=2");
  CHECK(LayerDescription("attention").find<AttentionConfig>());
  CHECK_FALSE(LayerDescription("attention").find<TttConfig>());
  CHECK(LayerDescription() == LayerDescription("ttt-linear"));
}

TEST_CASE("descriptions that are none are refused by name") {
  const auto message = [](std::string_view text) { return error_message([&] { LayerDescription::parse(text); }); };
  CHECK(message("rwkv") == "layer: expected one of " + LayerKinds::known() + ", found 'rwkv'");
  CHECK(message("") == "layer: expected one of " + LayerKinds::known() + ", found ''");
  CHECK(message("mamba:heads=3") ==
        "option of layer mamba: expected one of inner_width, state_width, step_rank, conv_taps, found 'heads'");
  CHECK(message("mamba:conv_taps") == "layer mamba: expected OPTION=VALUE, found 'conv_taps'");
  CHECK(message("mamba:conv_taps=many") == "layer mamba, option conv_taps: expected a whole number, found 'many'");
  CHECK(message("mamba:conv_taps=3.5") == "layer mamba, option conv_taps: expected a whole number, found '3.5'");
  CHECK(message("attention:bias=yes") == "layer attention, option bias: expected true or false, found 'yes'");
  CHECK(message("attention:rope_theta=") == "layer attention, option rope_theta: expected a number, found ''");
  CHECK(message("attention:rotary_pairs=all") ==
        "layer attention, option rotary_pairs: expected one of interleaved, halves, found 'all'");
  CHECK(message("ttt-mlp:base_learning_rate=fast") ==
        "layer ttt-mlp, option base_learning_rate: expected a number or none, found 'fast'");
  CHECK(message("ttt-mlp:base_learning_rate=none") == "");
  CHECK(error_message([] { LayerDescription("mamba", TttConfig{}); }) ==
        "layer mamba: expected options of its own kind, found those of another");
}
