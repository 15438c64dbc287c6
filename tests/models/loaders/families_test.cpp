// SPDX-License-Identifier: MIT
#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "ttt/models/loaders/families.hpp"

using namespace ttt;
using loaders::ConfigJson;
using ttt::testing::error_message;

namespace {

/// A config.json of the family with sizes and whatever else is given.
nlohmann::json sizes(const char* type) {
  return {{"model_type", type},      {"vocab_size", 96},       {"hidden_size", 32},
          {"intermediate_size", 48}, {"num_hidden_layers", 2}, {"num_attention_heads", 4}};
}

ModelConfig read(const nlohmann::json& json) {
  const ConfigJson config(json.dump(), "config.json");
  return loaders::family_of(config).read(config);
}
ModelConfig read(const char* type, const char* key, const nlohmann::json& value) {
  auto json = sizes(type);
  json[key] = value;
  return read(json);
}
std::string refusal(const char* type, const char* key, const nlohmann::json& value) {
  return error_message([&] { read(type, key, value); });
}

}  // namespace

TEST_CASE("keys that are missing mean what they mean to the Python classes") {
  const auto ttt = read(sizes("ttt")), llama = read(sizes("llama"));
  CHECK(ttt.layer == "ttt-linear");
  CHECK(ttt.backbone == Backbone::transformer);
  CHECK(ttt.tied);
  CHECK(ttt.mini_batch == 16);
  CHECK(ttt.base_learning_rate == 1);
  CHECK(ttt.conv_taps == 4);
  CHECK(ttt.norm_epsilon == 1e-6);
  CHECK(ttt.rope_theta == 10000);
  CHECK(llama.layer == "attention");
  CHECK_FALSE(llama.tied);
  CHECK(llama.key_value_heads == 0);

  auto mistral = sizes("mistral");
  mistral["num_attention_heads"] = 16;
  CHECK(read(mistral).layer == "sliding-window");
  CHECK(read(mistral).window == 4096);
  CHECK(read(mistral).key_value_heads == 8);
}

TEST_CASE("keys of each family") {
  CHECK(read("ttt", "ttt_layer_type", "mlp").layer == "ttt-mlp");
  CHECK(read("ttt", "pre_conv", true).backbone == Backbone::mamba);
  CHECK(read("ttt", "use_gate", true).gate);
  CHECK(read("ttt", "share_qk", true).share_query_key);
  CHECK(read("ttt", "mini_batch_size", 7).mini_batch == 7);
  CHECK(read("ttt", "ttt_base_lr", 0.25).base_learning_rate == 0.25);
  CHECK(read("ttt", "conv_kernel", 3).conv_taps == 3);
  CHECK(read("llama", "num_key_value_heads", 2).key_value_heads == 2);
  CHECK(read("llama", "num_key_value_heads", 4).key_value_heads == 0);
  CHECK(read("llama", "rope_theta", 5e5).rope_theta == 5e5);
  CHECK(read("llama", "rope_parameters", {{"rope_type", "default"}, {"rope_theta", 3e5}}).rope_theta == 3e5);
  CHECK(read("llama", "rms_norm_eps", 1e-5).norm_epsilon == 1e-5);
  CHECK(read("llama", "tie_word_embeddings", true).tied);

  auto mistral = sizes("mistral");
  mistral["num_key_value_heads"] = nullptr;
  mistral["sliding_window"] = 12;
  CHECK(read(mistral).window == 12);
  CHECK(read(mistral).key_value_heads == 0);
  mistral["sliding_window"] = nullptr;
  CHECK(read(mistral).layer == "attention");
}

TEST_CASE("what a family allows and this library does not have is refused by name") {
  const std::string key = "config.json, key '";
  CHECK(refusal("llama", "rope_scaling", {{"type", "linear"}}) ==
        key +
            "rope_scaling': expected null, as scaled rotary embeddings are not supported, found "
            "{\"type\":\"linear\"}");
  CHECK(refusal("llama", "rope_parameters", {{"rope_type", "yarn"}}) ==
        key + "rope_parameters.rope_type': expected \"default\", found \"yarn\"");
  CHECK(refusal("llama", "attention_bias", true) ==
        key + "attention_bias': expected false, as biases of projections are not supported, found true");
  CHECK(refusal("llama", "mlp_bias", true) ==
        key + "mlp_bias': expected false, as biases of projections are not supported, found true");
  CHECK(refusal("llama", "head_dim", 16) ==
        key + "head_dim': expected hidden_size / num_attention_heads = 8, found 16");
  CHECK(refusal("llama", "num_key_value_heads", 3) ==
        key + "num_key_value_heads': expected a divisor of num_attention_heads = 4, found 3");
  CHECK(refusal("llama", "partial_rotary_factor", 0.5) ==
        key + "partial_rotary_factor': expected 1, as the rotary embedding turns whole heads, found 0.5");
  CHECK(refusal("mistral", "quantization_config", {{"bits", 4}}) ==
        key + "quantization_config': expected null, as quantised weights are not supported, found one");
  CHECK(refusal("ttt", "num_key_value_heads", 2) ==
        key + "num_key_value_heads': expected num_attention_heads = 4, as TTT has no grouped heads, found 2");
  CHECK(refusal("ttt", "hidden_act", "gelu") == key + "hidden_act': expected \"silu\", found \"gelu\"");
  CHECK(refusal("ttt-cpp", "layer", "attention") == key + "backbone': expected a string, found none");
  CHECK(refusal("mamba", "state_size", 16) ==
        key +
            "model_type': expected one of ttt, llama, mistral, ttt-cpp, found \"mamba\", whose layers are not "
            "supported yet");
}

TEST_CASE("keys that contradict each other are refused by name") {
  auto json = sizes("llama");
  json["rope_theta"] = 10000.0;
  json["rope_parameters"] = {{"rope_theta", 5e5}};
  const auto message = [&] { return error_message([&] { read(json); }); };
  CHECK(message() ==
        "config.json, key 'rope_parameters.rope_theta': expected the rope_theta beside it, found 500000.0");
  json = sizes("ttt-cpp");
  json["layer"] = "attention";
  json["backbone"] = "mamba";
  CHECK(message() == "");
  json["sliding_window"] = 8;
  CHECK(message() ==
        "config.json, key 'sliding_window': expected null, as it means nothing to layer attention, found 8");
}

TEST_CASE("every configuration is written as the first family that holds it, and read again") {
  std::set<std::string> written;
  for (const auto layer : layer_names)
    for (const Backbone backbone : {Backbone::transformer, Backbone::mamba}) {
      ModelConfig config;
      config.layer = std::string(layer);
      config.backbone = backbone;
      config.gate = config.share_query_key = is_ttt(config) && backbone == Backbone::mamba;
      config.tied = backbone == Backbone::mamba;
      config.rope_theta = 1234.5;
      config.norm_epsilon = 1e-5;
      if (is_ttt(config)) config.mini_batch = 9, config.base_learning_rate = 0.3, config.conv_taps = 3;
      if (!is_ttt(config)) config.key_value_heads = 2;
      if (layer == "sliding-window") config.window = 33;
      const ConfigJson json(loaders::config_text(config, loaders::family_of(config), "float32"), "config.json");
      CAPTURE(layer);
      CHECK(&loaders::family_of(json) == &loaders::family_of(config));
      CHECK(loaders::family_of(json).read(json) == config);
      CHECK(json.text("torch_dtype") == "float32");
      // A family that is not the first choice of a configuration can still hold it.
      nlohmann::json general;
      loaders::ttt_cpp_family.write(config, general);
      CHECK(loaders::ttt_cpp_family.read(ConfigJson(general.dump(), "config.json")) == config);
      written.insert(json.text("model_type"));
    }
  CHECK(written == std::set<std::string>{"ttt", "llama", "mistral", "ttt-cpp"});
}

TEST_CASE("keys that no family knows are written again, those of the model are the model's") {
  auto original = sizes("llama");
  original["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 3e5}};
  original["eos_token_id"] = {7, 9};
  original["vocab_size"] = 1;
  original["dtype"] = "bfloat16";
  original["architectures"] = {"LlamaForCausalLM"};
  original["someones"] = {{"own", {1, 2.5, "three", nullptr}}};
  original["max_position_embeddings"] = 8192;
  ModelConfig config = read(original);
  config.vocabulary = 96;
  const auto write = [&](const loaders::Family& family) {
    return nlohmann::json::parse(loaders::config_text(config, family, "float32", original));
  };
  const auto llama = write(loaders::llama_family), general = write(loaders::ttt_cpp_family);
  for (const auto& written : {llama, general}) {
    CHECK(written["someones"] == original["someones"]);
    CHECK(written["eos_token_id"] == original["eos_token_id"]);
    CHECK(written["max_position_embeddings"] == 8192);
    CHECK(written["vocab_size"] == 96);
    CHECK(written["rope_theta"] == 3e5);
    CHECK(written["torch_dtype"] == "float32");
    // Would contradict those; and what the original left to the class is left to it.
    for (const char* key : {"rope_parameters", "dtype", "bos_token_id"}) CHECK_FALSE(written.contains(key));
    CHECK(read(written) == config);
  }
  CHECK(llama["model_type"] == "llama");
  CHECK(llama["architectures"] == original["architectures"]);
  CHECK_FALSE(llama.contains("pretraining_tp"));
  CHECK(general["model_type"] == "ttt-cpp");
  CHECK_FALSE(general.contains("architectures"));
}

TEST_CASE("mistral holds attention over everything too") {
  auto json = sizes("mistral");
  json["num_key_value_heads"] = 2;
  json["sliding_window"] = nullptr;
  const ModelConfig config = read(json);
  CHECK(config.layer == "attention");
  REQUIRE(loaders::mistral_family.holds(config));
  const auto written = nlohmann::json::parse(loaders::config_text(config, loaders::mistral_family, "float32"));
  CHECK(written["sliding_window"].is_null());
  CHECK(read(written) == config);
}

TEST_CASE("names of tensors by family") {
  const auto& llama = *loaders::llama_family.tensor_name;
  CHECK(llama("model.layers.3.seq_modeling_block.q_proj.weight") == "model.layers.3.self_attn.q_proj.weight");
  CHECK(llama("model.layers.3.seq_norm.weight") == "model.layers.3.input_layernorm.weight");
  CHECK(llama("model.layers.3.ffn_norm.weight") == "model.layers.3.post_attention_layernorm.weight");
  CHECK(llama("model.layers.3.mlp.up_proj.weight") == "model.layers.3.mlp.up_proj.weight");
  CHECK(llama("model.norm.weight") == "model.norm.weight");
  CHECK(loaders::ttt_family.tensor_name("model.layers.0.seq_norm.weight") == "model.layers.0.seq_norm.weight");
  CHECK(loaders::mistral_family.is_derived("model.layers.0.self_attn.rotary_emb.inv_freq"));
  CHECK_FALSE(loaders::ttt_family.is_derived("model.layers.0.self_attn.rotary_emb.inv_freq"));
}
