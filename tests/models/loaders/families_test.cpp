// SPDX-License-Identifier: MIT
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/tiny_config.hpp"
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
/// The first block's layer.
const TttConfig& ttt_of(const ModelConfig& config) { return *config.pattern.front().layer.find<TttConfig>(); }
const AttentionConfig& attention_of(const ModelConfig& config) {
  return loaders::detail::attention_of(config.pattern.front());
}
std::string refusal(const char* type, const char* key, const nlohmann::json& value) {
  return error_message([&] { read(type, key, value); });
}

}  // namespace

TEST_CASE("keys that are missing mean what they mean to the Python classes") {
  const auto ttt = read(sizes("ttt")), llama = read(sizes("llama"));
  CHECK(ttt.layers() == "ttt-linear");
  CHECK(ttt.pattern.front().backbone == Backbone::transformer);
  CHECK(ttt.tied);
  CHECK(ttt_of(ttt).mini_batch == 16);
  CHECK(ttt_of(ttt).base_learning_rate == 1.0);
  CHECK(ttt_of(ttt).conv_taps == 4);
  CHECK(ttt.norm_epsilon == 1e-6);
  CHECK(ttt_of(ttt).rope_theta == 10000);
  CHECK(llama.layers() == "attention");
  CHECK_FALSE(llama.tied);
  CHECK(attention_of(llama).key_value_heads == 0);

  auto qwen = sizes("qwen3");
  qwen["num_attention_heads"] = 64;
  CHECK(attention_of(read(qwen)).head_channels == 128);
  CHECK(attention_of(read(qwen)).key_value_heads == 32);
  CHECK(attention_of(read(qwen)).query_key_norm);

  auto mistral = sizes("mistral");
  mistral["num_attention_heads"] = 16;
  CHECK(read(mistral).layers() == "sliding-window");
  CHECK(attention_of(read(mistral)).window == 4096);
  CHECK(attention_of(read(mistral)).key_value_heads == 8);
}

TEST_CASE("keys of each family") {
  CHECK(read("ttt", "ttt_layer_type", "mlp").layers() == "ttt-mlp");
  CHECK(read("ttt", "pre_conv", true).pattern.front().backbone == Backbone::mamba);
  CHECK(ttt_of(read("ttt", "use_gate", true)).gate);
  CHECK(ttt_of(read("ttt", "share_qk", true)).share_query_key);
  CHECK(ttt_of(read("ttt", "mini_batch_size", 7)).mini_batch == 7);
  CHECK(ttt_of(read("ttt", "ttt_base_lr", 0.25)).base_learning_rate == 0.25);
  CHECK(ttt_of(read("ttt", "conv_kernel", 3)).conv_taps == 3);
  CHECK(read("ttt", "conv_kernel", 3).pattern.front().conv_taps == 3);
  CHECK(attention_of(read("llama", "num_key_value_heads", 2)).key_value_heads == 2);
  CHECK(attention_of(read("llama", "num_key_value_heads", 4)).key_value_heads == 0);
  CHECK(attention_of(read("llama", "rope_theta", 5e5)).rope_theta == 5e5);
  CHECK(attention_of(read("llama", "rope_parameters", {{"rope_type", "default"}, {"rope_theta", 3e5}})).rope_theta ==
        3e5);
  CHECK(read("llama", "rms_norm_eps", 1e-5).norm_epsilon == 1e-5);
  CHECK(read("llama", "tie_word_embeddings", true).tied);
  CHECK(attention_of(read("llama", "head_dim", 16)).head_channels == 16);
  CHECK(attention_of(read("llama", "head_dim", 8)).head_channels == 0);

  auto mistral = sizes("mistral");
  mistral["num_key_value_heads"] = nullptr;
  mistral["sliding_window"] = 12;
  CHECK(attention_of(read(mistral)).window == 12);
  CHECK(attention_of(read(mistral)).key_value_heads == 0);
  mistral["sliding_window"] = nullptr;
  CHECK(read(mistral).layers() == "attention");
}

TEST_CASE("what a family allows and this library does not have is refused by name") {
  const std::string key = "config.json, key '";
  CHECK(refusal("llama", "attention_bias", true) ==
        key + "attention_bias': expected false, as biases of projections are not supported, found true");
  CHECK(refusal("llama", "mlp_bias", true) ==
        key + "mlp_bias': expected false, as biases of projections are not supported, found true");
  CHECK(refusal("llama", "head_dim", 15) ==
        key + "head_dim': expected an even number for the rotary embedding, found 15");
  CHECK(refusal("llama", "num_key_value_heads", 3) ==
        key + "num_key_value_heads': expected a divisor of num_attention_heads = 4, found 3");
  CHECK(refusal("llama", "partial_rotary_factor", 0.5) ==
        key + "partial_rotary_factor': expected 1, as the rotary embedding turns whole heads, found 0.5");
  CHECK(refusal("mistral", "quantization_config", {{"bits", 4}}) ==
        key + "quantization_config': expected null, as quantised weights are not supported, found one");
  CHECK(refusal("ttt", "num_key_value_heads", 2) ==
        key + "num_key_value_heads': expected num_attention_heads = 4, as TTT has no grouped heads, found 2");
  CHECK(refusal("ttt", "hidden_act", "gelu") == key + "hidden_act': expected \"silu\", found \"gelu\"");
  CHECK(refusal("ttt", "rope_scaling", {{"type", "linear"}, {"factor", 2}})
            .starts_with(key + "rope_scaling': expected none, as the rotary embedding of TTT layers is not scaled"));
  auto qwen3 = sizes("qwen3");
  qwen3.update({{"num_key_value_heads", 2}, {"attention_bias", true}});
  CHECK(error_message([&] { read(qwen3); }) ==
        key + "attention_bias': expected false, as biases of projections are not supported, found true");
  auto smollm3 = sizes("smollm3");
  smollm3["use_sliding_window"] = true;
  CHECK(error_message([&] { read(smollm3); }) == "");
  smollm3["sliding_window"] = 8;
  CHECK(error_message([&] { read(smollm3); }) ==
        key + "use_sliding_window': expected false, as windows in some blocks only are not supported, found true");
  for (const char* type : {"jamba", "gemma2", "gpt2", "mixtral", "qwen3_moe", "zamba2"})
    CHECK(refusal(type, "state_size", 16) == key + "model_type': expected one of " + loaders::known_families() +
                                                 ", found \"" + type + "\", whose layers are not supported yet");
  CHECK(refusal("lama", "state_size", 16) ==
        key + "model_type': expected one of " + loaders::known_families() + ", found \"lama\"");
}

TEST_CASE("both spellings of the rotary embedding say the same") {
  using Kind = kernels::RotaryScaling::Kind;
  const auto both = [](const nlohmann::json& keys) {
    auto older = sizes("llama"), newer = sizes("llama");
    older["rope_theta"] = 5e5;
    older["rope_scaling"] = keys;
    newer["rope_parameters"] = keys;
    newer["rope_parameters"]["rope_theta"] = 5e5;
    CHECK(read(older) == read(newer));
    CHECK(attention_of(read(older)).rope_theta == 5e5);
    return attention_of(read(older)).rotary_scaling;
  };
  CHECK(both({{"type", "default"}}) == kernels::RotaryScaling{});
  CHECK(both({{"rope_type", "default"}, {"type", "default"}}) == kernels::RotaryScaling{});
  CHECK(both({{"type", "linear"}, {"factor", 4}}) == kernels::RotaryScaling{.kind = Kind::linear, .factor = 4});
  CHECK(both({{"rope_type", "llama3"},
              {"factor", 8},
              {"low_freq_factor", 2},
              {"high_freq_factor", 5},
              {"original_max_position_embeddings", 64}}) ==
        kernels::RotaryScaling{
            .kind = Kind::llama3, .factor = 8, .original_positions = 64, .slow_turns = 2, .fast_turns = 5});
  kernels::RotaryScaling yarn{.kind = Kind::yarn,
                              .factor = 4,
                              .original_positions = 64,
                              .slow_turns = 1,
                              .fast_turns = 32,
                              .magnitude = 0.1 * std::log(4.0) + 1};
  nlohmann::json keys{{"rope_type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 64}};
  CHECK(both(keys) == yarn);
  keys["mscale"] = 1;
  CHECK(both(keys) == yarn);  // one of the two alone is not looked at
  keys["mscale_all_dim"] = 0.5;
  yarn.magnitude = (0.1 * std::log(4.0) + 1) / (0.05 * std::log(4.0) + 1);
  CHECK(both(keys) == yarn);
  keys.update({{"attention_factor", 1.5}, {"beta_fast", 16}, {"beta_slow", 2}, {"truncate", false}});
  yarn.magnitude = 1.5, yarn.fast_turns = 16, yarn.slow_turns = 2, yarn.whole_pairs = false;
  CHECK(both(keys) == yarn);
}

TEST_CASE("longrope has the list up to the original length, and no window beyond that") {
  auto json = sizes("phi3");
  const nlohmann::json lists{{"type", "longrope"}, {"short_factor", {1, 1.5}}, {"long_factor", {2, 4}}};
  json.update({{"partial_rotary_factor", 0.5},
               {"max_position_embeddings", 512},
               {"original_max_position_embeddings", 64},
               {"sliding_window", 100},
               {"rope_scaling", lists}});
  const ModelConfig config = read(json);
  const AttentionConfig& attention = attention_of(config);
  CHECK(attention.rotary_scaling == kernels::RotaryScaling{.kind = kernels::RotaryScaling::Kind::longrope,
                                                           .original_positions = 64,
                                                           .magnitude = std::sqrt(1 + std::log(8.0) / std::log(64.0)),
                                                           .divisors = {1, 1.5}});
  CHECK(attention.rotary_channels == 4);
  CHECK(config.layers() == "attention");
  CHECK(&loaders::family_of(config) == &loaders::ttt_cpp_family);
  CHECK(read(nlohmann::json::parse(loaders::config_text(config, loaders::ttt_cpp_family, "float32"))) == config);
  json["sliding_window"] = 8;
  CHECK(attention_of(read(json)).window == 8);
  const auto message = [&](const char* key, const nlohmann::json& value) {
    auto changed = json;
    changed["rope_scaling"][key] = value;
    return error_message([&] { read(changed); });
  };
  const std::string key = "config.json, key 'rope_scaling.";
  CHECK(message("attention_factor", 1.25) == "");
  CHECK(message("short_factor", {1, "two"}) == key + "short_factor': expected a list of numbers, found [1,\"two\"]");
  CHECK(message("short_factor", 2) == key + "short_factor': expected a list of numbers, found 2");
  CHECK(message("factor", 8) == key + "factor': expected no such key with this rope_type, found 8");
  json.erase("original_max_position_embeddings");
  CHECK(
      error_message([&] { read(json); }).starts_with("config.json, key 'original_max_position_embeddings': expected"));
  json["partial_rotary_factor"] = 0.6;  // 4.8 channels, which are 4
  json["original_max_position_embeddings"] = 64;
  CHECK(attention_of(read(json)).rotary_channels == 4);
  json["partial_rotary_factor"] = 0.4;
  CHECK(error_message([&] { read(json); }) ==
        "config.json, key 'partial_rotary_factor': expected an even number of channels of a head, found 3");
  json["rope_scaling"] = {{"type", "linear"}, {"factor", 2}};
  CHECK(error_message([&] { read(json); }).starts_with("config.json, key "));
}

TEST_CASE("yarn without its original length has that of the model") {
  auto json = sizes("qwen2");
  json["num_key_value_heads"] = 2;
  json["rope_scaling"] = {{"type", "yarn"}, {"factor", 4}};
  CHECK(error_message([&] { read(json); }).starts_with("config.json, key 'max_position_embeddings': expected"));
  json["max_position_embeddings"] = 32768;
  CHECK(attention_of(read(json)).rotary_scaling.original_positions == 32768);
}

TEST_CASE("a scaling of the rotary embedding that is not known, or a key of it, is refused by name") {
  const std::string key = "config.json, key 'rope_scaling.";
  const auto scaling = [](const nlohmann::json& value) { return refusal("llama", "rope_scaling", value); };
  CHECK(scaling({{"type", "dynamic"}, {"factor", 2}}) ==
        key + "type': expected one of default, linear, llama3, yarn, longrope, found \"dynamic\"");
  CHECK(scaling({{"rope_type", "su"}}) ==
        key + "rope_type': expected one of default, linear, llama3, yarn, longrope, found \"su\"");
  CHECK(scaling({{"rope_type", "linear"}, {"type", "yarn"}, {"factor", 2}}) ==
        key + "type': expected the rope_type beside it, found \"yarn\"");
  CHECK(scaling({{"rope_type", "linear"}}) == key + "factor': expected a number above 0, found none");
  CHECK(scaling({{"factor", 2}}) == key + "factor': expected no such key with this rope_type, found 2");
  CHECK(scaling({{"rope_type", "linear"}, {"factor", 2}, {"beta_fast", 32}}) ==
        key + "beta_fast': expected no such key with this rope_type, found 32");
  CHECK(
      scaling({{"full_attention", {{"rope_type", "default"}}}}).starts_with(key + "full_attention': expected no such"));
  CHECK(scaling({{"rope_type", "llama3"}, {"factor", 8}}).starts_with(key + "original_max_position_embeddings'"));
  CHECK(scaling({{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}) ==
        key + "partial_rotary_factor': expected 1, as the rotary embedding turns whole heads, found 0.5");
  auto json = sizes("llama");
  json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2}};
  json["rope_parameters"] = {{"rope_type", "default"}};
  CHECK(error_message([&] {
          read(json);
        }).starts_with("config.json, key 'rope_scaling': expected null beside rope_parameters"));
}

TEST_CASE("a list of what each block is must be what all blocks are") {
  const auto types = [](const char* type, const std::vector<std::string>& list, const nlohmann::json& others = {}) {
    auto json = sizes(type);
    json["num_key_value_heads"] = 2;
    json["layer_types"] = list;
    if (others.is_object()) json.update(others);
    return error_message([&] { read(json); });
  };
  const std::string key = "config.json, key 'layer_types': expected ", full = "full_attention",
                    sliding = "sliding_attention";
  CHECK(types("mistral", {sliding, sliding}) == "");
  CHECK(types("mistral", {sliding, full}).starts_with(key + "\"sliding_attention\" for every block"));
  CHECK(types("mistral", {full, full}).starts_with(key + "\"sliding_attention\" for every block"));
  CHECK(types("mistral", {full, full}, {{"sliding_window", nullptr}}) == "");
  CHECK(types("llama", {full, full}) == "");
  CHECK(types("llama", {full, sliding}).starts_with(key + "\"full_attention\" for every block"));
  CHECK(types("llama", {full}) == key + "a list of 2 entries, found [\"full_attention\"]");
  const nlohmann::json window{{"use_sliding_window", true}, {"sliding_window", 8}};
  for (const auto& [first, second] : {std::pair{full, full}, {sliding, sliding}, {full, sliding}})
    CHECK(types("qwen3", {first, second}, window) == "");
  CHECK(types("qwen3", {sliding, sliding}).starts_with(key + "\"full_attention\" for every block"));
  CHECK(types("qwen3", {full, "linear_attention"}, window)
            .starts_with(key + "full_attention or sliding_attention for every block"));
}

TEST_CASE("Qwen has a window only where it is used, and in some blocks only") {
  auto json = sizes("qwen2");
  json["num_key_value_heads"] = 2;
  json["sliding_window"] = 8;
  json["max_window_layers"] = 0;
  CHECK(read(json).layers() == "attention");
  json["use_sliding_window"] = true;
  CHECK(read(json).layers() == "sliding-window");
  CHECK(attention_of(read(json)).window == 8);
  json["max_window_layers"] = 2;
  CHECK(read(json).layers() == "attention");
  json["max_window_layers"] = 1;
  CHECK(read(json).layers() == "attention,sliding-window");
  json["layer_types"] = {"sliding_attention", "full_attention"};  // says more than the number
  const ModelConfig config = read(json);
  CHECK(config.layers() == "sliding-window,attention");
  const auto written = nlohmann::json::parse(loaders::config_text(config, loaders::qwen2_family, "float32"));
  CHECK(written["layer_types"] == json["layer_types"]);
  CHECK(read(written) == config);
  json["sliding_window"] = nullptr;
  json.erase("layer_types");
  CHECK(read(json).layers() == "attention");
  json["sliding_window"] = 8;
  json["num_hidden_layers"] = 2'000'000'000;
  CHECK(error_message([&] {
          read(json);
        }).starts_with("config.json, key 'layer_types': expected a list, with so many blocks"));
}

TEST_CASE("SmolLM3 leaves the rotary embedding out of every fourth block, or of those it lists") {
  auto json = sizes("smollm3");
  json["num_hidden_layers"] = 5;
  const auto rotary = [&] {
    const ModelConfig config = read(json);
    std::vector<bool> blocks;
    for (Index i = 0; i < 5; ++i) blocks.push_back(loaders::detail::attention_of(config.block(i)).rotary);
    return blocks;
  };
  CHECK(rotary() == std::vector<bool>{true, true, true, false, true});
  CHECK(read(json).tied);
  CHECK(attention_of(read(json)).rope_theta == 2'000'000);
  json["no_rope_layer_interval"] = 2;
  CHECK(rotary() == std::vector<bool>{true, false, true, false, true});
  CHECK(read(json).pattern.size() == 2);
  json["no_rope_layers"] = {0, 1, 1, 1, 0};
  CHECK(rotary() == std::vector<bool>{false, true, true, true, false});
  json["no_rope_layers"] = {1, 1, 1, 1, 1};
  CHECK(read(json).pattern.size() == 1);
  const std::string key = "config.json, key 'no_rope_layers': expected ";
  for (const auto& list : {nlohmann::json{1, 1, 1, 1}, nlohmann::json("all")}) {
    json["no_rope_layers"] = list;
    CHECK(error_message([&] { read(json); }).starts_with(key + "a list of 5 entries"));
  }
  json["no_rope_layers"] = {1, 1, 2, 1, 1};
  CHECK(error_message([&] { read(json); }).starts_with(key + "1 or 0 for every block"));
  json.erase("no_rope_layers");
  json["num_hidden_layers"] = 2'000'000'000;
  CHECK(error_message([&] { read(json); }).starts_with(key + "a list, with so many blocks"));
}

TEST_CASE("Granite scales embeddings, scores, residual branches and logits") {
  auto json = sizes("granite");
  CHECK(attention_of(read(json)).score_scale == 1);  // what the class does where nothing is said
  json.update({{"embedding_multiplier", 12},
               {"attention_multiplier", 0.25},
               {"residual_multiplier", 0.5},
               {"logits_scaling", 8}});
  const ModelConfig config = read(json);
  CHECK(config.embedding_scale == 12);
  CHECK(config.residual_scale == 0.5);
  CHECK(config.logit_scale == 0.125);
  CHECK(attention_of(config).score_scale == 0.25);
  CHECK(&loaders::family_of(config) == &loaders::granite_family);
  const auto written = nlohmann::json::parse(loaders::config_text(config, loaders::granite_family, "float32"));
  for (const auto& [key, value] : json.items()) CHECK(written.value(key, nlohmann::json("none")) == value);
  CHECK(read(written) == config);
  // What has one of the scales only is no llama, either.
  ModelConfig scaled = testing::tiny_config("attention");
  CHECK(&loaders::family_of(scaled) == &loaders::llama_family);
  for (double ModelConfig::*scale : {&ModelConfig::residual_scale, &ModelConfig::logit_scale}) {
    scaled.*scale = 2;
    CHECK(&loaders::family_of(scaled) == &loaders::ttt_cpp_family);
    scaled.*scale = 1;
  }
  for (const char* key : {"embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"})
    CHECK(refusal("granite", key, 0) ==
          "config.json, key '" + std::string(key) + "': expected a number above 0, found 0");
  CHECK(refusal("granite", "logits_scaling", 1e-310)
            .starts_with("config.json, key 'logits_scaling': expected a number that logits can be divided by"));
}

TEST_CASE("Granite 4 and Bamba have Mamba-2 in the blocks that are not attention") {
  const nlohmann::json mixer{{"mamba_n_heads", 8}, {"mamba_d_head", 8}, {"mamba_d_state", 16}};
  auto granite = sizes("granitemoehybrid"), bamba = sizes("bamba");
  for (auto* json : {&granite, &bamba}) json->update(mixer), (*json)["num_key_value_heads"] = 2;
  granite.update({{"num_local_experts", 0}, {"shared_intermediate_size", 40}, {"layer_types", {"mamba", "attention"}}});
  bamba["attn_layer_indices"] = {1};
  for (auto* json : {&granite, &bamba}) {
    const ModelConfig config = read(*json);
    CHECK(config.layers() == "mamba2,attention");
    const auto& mamba = *config.block(0).layer.find<Mamba2Config>();
    CHECK(mamba.heads == 8);
    CHECK(mamba.head_width == 0);  // twice the width over the heads
    CHECK(mamba.state_width == 16);
    CHECK(mamba.norm_epsilon == config.norm_epsilon);
  }
  CHECK_FALSE(read(granite).block(1).layer.find<AttentionConfig>()->rotary);
  CHECK(read(granite).block(1).hidden == 40);
  granite["position_embedding_type"] = "rope";
  granite["layer_types"] = {"attention", "full_attention"};
  granite.erase("mamba_d_head");  // is not asked for
  CHECK(attention_of(read(granite)).rotary);
  CHECK(read(bamba).block(1).layer.find<AttentionConfig>()->rotary_channels == 4);
  CHECK(&loaders::family_of(read(bamba)) == &loaders::bamba_family);
  const auto message = [](nlohmann::json json, const char* key, const nlohmann::json& value) {
    json[key] = value;
    const std::string text = error_message([&] { read(json); }),
                      begin = "config.json, key '" + std::string(key) + "': ";
    return text.starts_with(begin) ? text.substr(begin.size()) : text;
  };
  CHECK(message(granite, "num_local_experts", 32) == "expected 0, as experts are not supported, found 32");
  CHECK(message(granite, "layer_types", {"attention", "moe"}) ==
        "expected attention or mamba for every block, found [\"attention\",\"moe\"]");
  CHECK(message(granite, "position_embedding_type", "alibi") == "expected \"rope\" or \"nope\", found \"alibi\"");
  CHECK(message(bamba, "attn_layer_indices", {2}) == "expected blocks from 0 to 1, found [2]");
  CHECK(message(bamba, "attn_rotary_emb", 8) == "expected half the width of a head = 4, found 8");
  CHECK(message(bamba, "partial_rotary_factor", 0.25) == "expected 0.5, found 0.25");
  CHECK(message(bamba, "mamba_proj_bias", true) ==
        "expected false, as biases of projections are not supported, found true");
  CHECK(message(bamba, "mamba_conv_bias", false) == "expected true, found false");
  CHECK(message(bamba, "mamba_n_heads", 4) == "expected mamba_expand times hidden_size over mamba_d_head = 8, found 4");
  CHECK(message(bamba, "attention_bias", true) ==
        "expected false, as biases of projections are not supported, found true");
}

TEST_CASE(
    "LFM2 has gated short convolutions in the blocks that are not attention, and a width of its MLP to work out") {
  auto json = sizes("lfm2");
  json["num_key_value_heads"] = 2;
  CHECK(read(json).layers() == "attention");
  CHECK(read(json).pattern.front().hidden == 256);  // 32, in steps of 256
  CHECK(attention_of(read(json)).query_key_norm);
  json.update({{"full_attn_idxs", {1}}, {"conv_L_cache", 4}, {"block_multiple_of", 10}, {"block_ff_dim", 70}});
  const ModelConfig config = read(json);
  CHECK(config.layers() == "gated-short-convolution,attention");
  CHECK(config.block(0).layer.find<GatedShortConvolutionConfig>()->conv_taps == 4);
  CHECK(config.block(0).hidden == 50);  // 46
  CHECK(&loaders::family_of(config) == &loaders::lfm2_family);
  json["block_ffn_dim_multiplier"] = 1.5;
  CHECK(read(json).block(0).hidden == 70);  // 69
  json["block_auto_adjust_ff_dim"] = false;
  json["layer_types"] = {"full_attention", "conv"};
  json["tie_embedding"] = false;
  CHECK(read(json).layers() == "attention,gated-short-convolution");
  CHECK(read(json).block(0).hidden == 70);
  CHECK_FALSE(read(json).tied);
  const std::string key = "config.json, key '";
  json["layer_types"] = {"full_attention", "mamba"};
  CHECK(error_message([&] { read(json); }) ==
        key + "layer_types': expected full_attention or conv for every block, found [\"full_attention\",\"mamba\"]");
  CHECK(refusal("lfm2", "conv_bias", true) ==
        key + "conv_bias': expected false, as biases of projections are not supported, found true");
}

TEST_CASE("keys that contradict each other are refused by name") {
  auto json = sizes("llama");
  json["rope_theta"] = 10000.0;
  json["rope_parameters"] = {{"rope_theta", 5e5}};
  const auto message = [&] { return error_message([&] { read(json); }); };
  CHECK(message() ==
        "config.json, key 'rope_parameters.rope_theta': expected the rope_theta beside it, found 500000.0");
}

TEST_CASE("ttt-cpp lists the blocks of a pattern, and every key must mean something") {
  auto json = sizes("ttt-cpp");
  const auto message = [&] { return error_message([&] { read(json); }); };
  const std::string key = "config.json, key 'blocks";
  CHECK(message() == key + "': expected a list of objects, found none");
  json["blocks"] = nlohmann::json::array();
  CHECK(message() == key + "': expected a list of objects, found []");
  json["blocks"] = {"attention"};
  CHECK(message() == key + ".0': expected an object, found \"attention\"");
  json["blocks"] = {{{"layer", "attention"}, {"intermediate_size", 8}}, {{"layer", "rwkv"}}};
  CHECK(message() == key + ".1.layer': expected one of " + LayerKinds::known() + ", found \"rwkv\"");
  auto& block = json["blocks"][1];
  block = {{"layer", "mamba"}};
  CHECK(message().starts_with(key + ".1.intermediate_size': expected a whole number from 0 to"));
  block["intermediate_size"] = 0;
  CHECK(message() == "");
  CHECK(read(json).layers() == "attention,mamba");
  block["heads"] = 3;
  CHECK(message() == key + ".1.heads': expected no such key, as layer mamba has no such option, found 3");
  block.erase("heads");
  block["backbone"] = "llama";
  CHECK(message() == key + ".1.backbone': expected one of transformer, mamba, found \"llama\"");
  block["backbone"] = "mamba";
  json["blocks"] = {json["blocks"][0], json["blocks"][0]};
  json["blocks"][1].update({{"key_value_heads", 4}, {"heads", 4}, {"rope_factor", 3}});
  json["blocks"][0]["heads"] = 4;
  CHECK(read(json).pattern.size() == 1);  // says the same in two ways
  json["blocks"] = {{{"layer", "attention"}, {"intermediate_size", 8}}, {{"layer", "mamba"}, {"intermediate_size", 0}}};
  json["blocks"][1]["conv_taps"] = -1;
  CHECK(message().starts_with(key + ".1.conv_taps': expected a whole number from 0 to"));
}

TEST_CASE("every kind of layer is written as the first family that holds it, and read again") {
  std::set<std::string> written;
  for (const auto layer : LayerKinds::names)
    for (const Backbone backbone : {Backbone::transformer, Backbone::mamba}) {
      ModelConfig config = testing::tiny_config(layer, backbone);
      config.tied = backbone == Backbone::mamba;
      config.norm_epsilon = 1e-5;
      config.pattern.front().conv_taps = 3;
      LayerDescription& described = config.pattern.front().layer;
      for (const auto& [option, words] :
           {std::pair{"rope_theta", "1234.5"}, {"conv_taps", "3"}, {"head_channels", "6"}})
        if (described.has(option)) described.set(option, words);
      if (const auto* attention = described.find<AttentionConfig>(); attention && backbone == Backbone::transformer)
        config.pattern.front().conv_taps = BlockDescription{}.conv_taps;
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

TEST_CASE("hybrids are written and read again") {
  ModelConfig config = testing::tiny_config("sliding-window");
  config.depth = 7;
  config.pattern.push_back({testing::tiny_layer("gated-delta-net"), Backbone::mamba, 0, 5});
  config.pattern.push_back({LayerDescription("mamba2"), Backbone::transformer, 8});
  config.pattern.back().beside = {testing::tiny_layer("attention"), LayerDescription("mamba")};
  const loaders::Family& family = loaders::family_of(config);
  CHECK(family.model_type == "ttt-cpp");
  CHECK(read(nlohmann::json::parse(loaders::config_text(config, family, "float32"))) == config);
}

TEST_CASE("every option of attention is written as a family that has it, and read again") {
  using Change = std::function<void(ModelConfig&)>;
  const auto each = [](auto change) {
    return [=](ModelConfig& config) {
      for (BlockDescription& block : config.pattern) change(*block.layer.find<AttentionConfig>());
    };
  };
  const Change scaled = each([](AttentionConfig& attention) {
    attention.rotary_scaling = {.kind = kernels::RotaryScaling::Kind::yarn,
                                .factor = 3,
                                .original_positions = 77,
                                .slow_turns = 2,
                                .fast_turns = 9,
                                .magnitude = 1.5,
                                .whole_pairs = false};
  });
  const Change bias = each([](AttentionConfig& attention) { attention.bias = true; });
  const Change norm = each([](AttentionConfig& attention) { attention.query_key_norm = true; });
  const Change some = [](ModelConfig& config) {
    config.pattern.resize(2, config.pattern.front());
    config.pattern[1].layer.find<AttentionConfig>()->rotary = false;
  };
  const Change both = [&](ModelConfig& config) { bias(config), norm(config), scaled(config), some(config); };
  const std::vector<std::tuple<Change, std::string, std::string>> cases{
      {scaled, "llama", "mistral"}, {bias, "qwen2", "qwen2"},     {norm, "qwen3", "qwen3"},
      {some, "smollm3", "ttt-cpp"}, {both, "ttt-cpp", "ttt-cpp"},
  };
  for (const auto& [change, full, window] : cases)
    for (const std::string layer : {"attention", "sliding-window"}) {
      ModelConfig config = testing::tiny_config(layer);
      change(config);
      const loaders::Family& family = loaders::family_of(config);
      CHECK(family.model_type == (layer == "attention" ? full : window));
      for (const loaders::Family* other : loaders::families) {
        if (!other->holds(config)) continue;
        const ConfigJson json(loaders::config_text(config, *other, "float32"), "config.json");
        INFO(layer << " as " << other->model_type);
        CHECK(&loaders::family_of(json) == other);
        CHECK(other->read(json) == config);
      }
    }
}

TEST_CASE("a folder written as another kind forgets what only its own kind says") {
  auto original = sizes("qwen2");
  original.update({{"num_key_value_heads", 2},
                   {"sliding_window", 32768},
                   {"use_sliding_window", false},
                   {"attention_bias", true},  // which Qwen 2 does not look at
                   {"layer_types", {"full_attention", "full_attention"}},
                   {"someones", "own"}});
  const ModelConfig config = read(original);
  const auto write = [&](const loaders::Family& family, const nlohmann::json& from) {
    return nlohmann::json::parse(loaders::config_text(config, family, "float32", from));
  };
  const auto own = write(loaders::qwen2_family, original), general = write(loaders::ttt_cpp_family, original);
  CHECK(own["sliding_window"] == 32768);
  CHECK(own["layer_types"] == original["layer_types"]);
  CHECK(read(own) == config);
  CHECK_FALSE(general.contains("sliding_window"));
  CHECK_FALSE(general.contains("layer_types"));
  CHECK(general["someones"] == "own");
  CHECK(read(general) == config);
  CHECK(read(write(loaders::qwen2_family, general)) == config);
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
    CHECK(written["torch_dtype"] == "float32");
    // Would contradict those; and what the original left to the class is left to it.
    for (const char* key : {"rope_parameters", "dtype", "bos_token_id"}) CHECK_FALSE(written.contains(key));
    CHECK(read(written) == config);
  }
  CHECK(llama["rope_theta"] == 3e5);
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
  CHECK(config.layers() == "attention");
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
