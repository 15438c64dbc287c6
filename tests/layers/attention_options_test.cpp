// SPDX-License-Identifier: MIT
#include "layers/attention_layers.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"

namespace {

using namespace ttt;
using namespace ttt::testing;

/// Every option that a model may have besides: heads wider than C / H, biases, norms and scaled rotary angles.
AttentionConfig with_options(AttentionConfig config) {
  config.head_channels = 10;
  config.bias = true;
  config.query_key_norm = true;
  config.norm_epsilon = 0.25;  // large enough to be seen
  config.rotary_scaling = {.kind = kernels::RotaryScaling::Kind::yarn,
                           .factor = 4,
                           .original_positions = 64,
                           .slow_turns = 1,
                           .fast_turns = 8,
                           .magnitude = 1.25};
  return config;
}

/// One option each, and all of them.
std::vector<std::pair<std::string, AttentionConfig>> options(Index key_value_heads) {
  const AttentionConfig plain = small_attention(key_value_heads), all = with_options(plain);
  AttentionConfig wide = plain, bias = plain, norm = plain, none = plain, scaled = plain;
  AttentionConfig whole = plain, one_plus = plain, score = plain, gate = plain, part = plain, next = all;
  wide.head_channels = 10;
  bias.bias = true;
  norm.query_key_norm = true;
  none.rotary = false, none.head_channels = 5;
  scaled.rotary_scaling = all.rotary_scaling;
  whole.query_key_norm = whole.whole_norm = true;
  one_plus.query_key_norm = one_plus.one_plus_norm = true;
  score.score_scale = 0.2;
  gate.output_gate = true;
  part.rotary_channels = 2;
  next.output_gate = next.one_plus_norm = true;
  next.rotary_channels = 4;
  return {{"head_channels", wide}, {"bias", bias},        {"query_key_norm", norm},    {"no rotary", none},
          {"scaled", scaled},      {"whole norm", whole}, {"one plus norm", one_plus}, {"score scale", score},
          {"gate", gate},          {"part", part},        {"all of them", all},        {"with gate", next}};
}

void refused(const auto& action, std::initializer_list<std::string_view> words) {
  CHECK(testing::error_lacks(action, words) == "");
}

}  // namespace

TEMPLATE_TEST_CASE("attention with any of its options is a sequence layer", "[layers][attention]", float, double) {
  for (const auto& [name, config] : options(2)) {
    INFO(name);
    check_attention<TestType>(config);
    check_attention<TestType>(with_window(config, 5));
  }
}

TEST_CASE("attention with any of its options computes its formula", "[layers][attention]") {
  const auto x = random_matrix<double>(120, 24, 5);
  const auto plain = read(sharp_layer<double>(small_attention(2)), x, {120});
  for (const auto& [name, config] : options(2)) {
    INFO(name);
    const auto full = sharp_layer<double>(config);
    const auto sliding = sharp_layer<double>(with_window(config, 5));
    const auto y = read(full, x, {120});
    CHECK(far_apart(y, expected(full, x), 1e-12) == "");
    CHECK(far_apart(read(sliding, x, {120}), expected(sliding, x), 1e-12) == "");
    CHECK(same_bits(read(full, x, std::vector<Index>(120, 1)), y));
    CHECK_FALSE(far_apart(y, plain, 1e-3).empty());
  }
}

TEST_CASE("parameters of attention are called as in the published models", "[layers][attention]") {
  const auto names = [](const AttentionConfig& config) {
    std::string all;
    auto parameters = Attention<double>(config).make_parameters();
    parameters.visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
      all += std::string(name) + to_string(tensor.shape()) + " ";
    });
    return all;
  };
  CHECK(names(small_attention(2)) ==
        "q_proj.weight[24 x 24] k_proj.weight[12 x 24] v_proj.weight[12 x 24] o_proj.weight[24 x 24] ");
  CHECK(names(with_options(small_attention(2))) ==
        "q_proj.weight[40 x 24] k_proj.weight[20 x 24] v_proj.weight[20 x 24] o_proj.weight[24 x 40] q_proj.bias[40] "
        "k_proj.bias[20] v_proj.bias[20] q_norm.weight[10] k_norm.weight[10] ");
}

TEST_CASE("parameters and states of attention with other options are someone else's", "[layers][attention]") {
  const Attention<float> plain(small_attention(2));
  for (const auto& [name, config] : options(2)) {
    if (name == "scaled" || name == "score scale" || name == "part")
      continue;  // the same shapes, and the numbers are no part of them
    INFO(name);
    const Attention<float> other(config);
    const ParameterStore parameters(other.make_parameters());
    CHECK_FALSE(plain.accepts(parameters.views()));
    CHECK_FALSE(plain.accepts(other.initial_state(parameters.views(), 8)));
  }
}

TEST_CASE("a sequence has no more tokens than the rotary embedding has positions", "[layers][attention]") {
  AttentionConfig config = small_attention(2);
  const Index pairs = config.width / config.heads / 2;
  config.rotary_scaling = {.kind = kernels::RotaryScaling::Kind::longrope,
                           .original_positions = 5,
                           .divisors = std::vector<double>(static_cast<std::size_t>(pairs), 2.0)};
  AttentionConfig window = with_window(config, 3, 0, AttentionMemory::ring), none = config;
  none.rotary = false;
  for (const auto& [each, capacity, expected] :
       {std::tuple{config, 9, 5}, {config, 4, 4}, {window, 9, 5}, {none, 9, 9}}) {
    const Attention<float> layer(each);
    const ParameterStore parameters(layer.make_parameters());
    CHECK(layer.initial_state(parameters.views(), capacity).capacity() == expected);
  }
}

TEST_CASE("attention refuses options that make no layer", "[layers][attention]") {
  const auto build = [](Index width, Index heads, Index key_value_heads) {
    AttentionConfig config;
    config.width = width;
    config.heads = heads;
    config.key_value_heads = key_value_heads;
    return [config] { Attention<float>{config}; };
  };
  CHECK_NOTHROW(build(24, 4, 2)());
  refused(build(0, 4, 0), {"width", "at least 1", "found 0"});
  refused(build(30, 4, 0), {"heads", "30", "found 4"});
  refused(build(24, 0, 0), {"heads", "found 0"});
  refused(build(24, 4, 3), {"key_value_heads", "4 heads", "found 3"});
  refused(build(24, 4, -1), {"key_value_heads", "found -1"});
  refused(build(24, 8, 0), {"heads", "even head width", "found 8"});
  AttentionConfig config = small_attention(2);
  config.rope_theta = -1;
  refused([&] { Attention<float>{config}; }, {"theta"});
  config.rotary = false;
  CHECK_NOTHROW(Attention<float>(config));
}

TEST_CASE("attention refuses windows, sinks and memories that do not go together", "[layers][attention]") {
  const auto build = [](Index window, Index sinks, AttentionMemory memory) {
    return [=] { Attention<float>{with_window(small_attention(2), window, sinks, memory)}; };
  };
  constexpr auto ring = AttentionMemory::ring, growing = AttentionMemory::growing;
  for (const auto memory : {ring, growing}) {
    CHECK_NOTHROW(build(1, 0, memory)());
    CHECK_NOTHROW(build(1, 5, memory)());
    refused(build(-1, 0, memory), {"option window", "at least 1", "found -1"});
    refused(build(4, -1, memory), {"option sinks", "at least 1", "found -1"});
  }
  CHECK_NOTHROW(build(0, 0, growing)());
  refused(build(0, 0, ring), {"option window", "at least 1", "ring", "found 0"});
  refused(build(0, 3, growing), {"option sinks", "0 without a window", "found 3"});
}

TEST_CASE("attention refuses numbers of its options that make no layer, by name", "[layers][attention]") {
  const auto with = [](const auto& change) {
    AttentionConfig config = with_options(small_attention(2));
    change(config);
    return [config] { Attention<float>{config}; };
  };
  refused(with([](auto& config) { config.head_channels = 7; }), {"head_channels", "even", "found 7"});
  refused(with([](auto& config) { config.head_channels = -2; }), {"head_channels", "at least 1", "found -2"});
  refused(with([](auto& config) { config.heads = 0; }), {"heads", "at least 1", "found 0"});
  refused(with([](auto& config) { config.heads = config.head_channels = Index{1} << 30; }),
          {"heads, times head_channels", "at most"});
  refused(with([](auto& config) { config.norm_epsilon = 0; }), {"norm_epsilon", "found 0"});
  refused(with([](auto& config) { config.rotary_scaling.factor = 0; }), {"rotary_scaling, factor", "found 0"});
  refused(with([](auto& config) { config.score_scale = -1; }), {"score_scale", "found -1"});
  refused(with([](auto& config) { config.rotary_channels = 3; }), {"rotary_channels", "even", "found 3"});
  refused(with([](auto& config) { config.rotary_channels = 12; }), {"rotary_channels", "head width 10", "found 12"});
  refused(with([](auto& config) { config.whole_norm = config.output_gate = true; }), {"whole_norm", "output_gate"});
  CHECK_NOTHROW(with([](auto& config) { config.heads = 6; })());  // heads need not divide the width
  CHECK_NOTHROW(with([](auto& config) { config.rotary = false, config.head_channels = 7; })());
}
