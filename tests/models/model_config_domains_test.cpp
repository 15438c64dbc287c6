// SPDX-License-Identifier: MIT
// Every number of every configuration of layers and models: outside of its domain it is an Error that names it, inside
// of it there is a layer that gives finite numbers.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "support/random_matrix.hpp"
#include "support/tiny_config.hpp"

using namespace ttt;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Index most = std::numeric_limits<Index>::max(), least = std::numeric_limits<Index>::min();

/// A field, the numbers that it refuses and some that it takes.
template <class Config, class Number>
struct Field {
  const char* name;
  Number Config::*member;
  std::vector<Number> refused, taken;
};

/// What is divided by, or a base of powers: above 0 in float.
const std::vector<double> not_positive{0, -0.0, -1, 1e-50, 1e50, not_a_number, infinity, -infinity};
const std::vector<double> positive{1e-37, 1e-6, 1, 1e37};
const std::vector<Index> no_sizes{0, -1, (Index{1} << 30) + 1, most, least};

template <class Config, class Number>
void check_field(const Config& sound, const Field<Config, Number>& field,
                 const std::function<void(const Config&)>& use) {
  for (const Number& number : field.refused) {
    Config config = sound;
    config.*(field.member) = number;
    INFO(field.name);
    CHECK(testing::error_lacks([&] { use(config); }, {field.name}) == "");
  }
  for (const Number& number : field.taken) {
    Config config = sound;
    config.*(field.member) = number;
    INFO(field.name);
    CHECK_NOTHROW(use(config));
  }
}

bool all_finite(const testing::Matrix<float>& y) {
  for (Index r = 0; r < y.rows(); ++r)
    for (Index c = 0; c < y.columns(); ++c)
      if (!std::isfinite(y(r, c))) return false;
  return true;
}

/// A forward over some mini-batches gives finite numbers.
template <class Definition>
void use_layer(const typename Definition::Config& config) {
  const Layer<Definition> layer(config);
  auto state = layer.initial_state(9);
  const auto x = testing::random_matrix<float>(9, layer.width(), 1);
  testing::Matrix<float> y(9, layer.width());
  Context context;
  layer.forward(x.view(), state, y.view(), context);
  CHECK(all_finite(y));
}

void use_model(const ModelConfig& config) {
  const auto model = make_model<float>(config);
  ParameterStore<CausalLm<float>::Parameters> store(model.make_parameters());
  initialize(store.views(), 1);
  auto state = model.initial_state(store.views(), 9);
  const std::vector<std::int64_t> ids{1, 0, 3, 4, 2, 1, 0, 0, 1};
  testing::Matrix<float> logits(9, model.vocabulary());
  Context context;
  const Segment<CausalLm<float>::State> segment{9, &state};
  model.forward(store.views(), ids, {&segment, 1}, LogitRows::all, logits.view(), context);
  CHECK(all_finite(logits));
}

template <class Definition>
void check_ttt() {
  TttConfig sound;
  sound.width = 12;
  sound.heads = 3;
  sound.mini_batch = 4;
  sound.share_query_key = true;
  const auto check = [&]<class Number>(const Field<TttConfig, Number>& field) {
    check_field<TttConfig, Number>(sound, field, use_layer<Definition>);
  };
  check(Field<TttConfig, Index>{"width", &TttConfig::width, {0, -1, 11, 9, most, least}, {24}});
  check(Field<TttConfig, Index>{"heads", &TttConfig::heads, {0, -3, most, least}, {1, 2, 6}});
  check(Field<TttConfig, Index>{"mini_batch", &TttConfig::mini_batch, no_sizes, {1, 2, 7}});
  check(Field<TttConfig, Index>{"conv_taps", &TttConfig::conv_taps, no_sizes, {1, 5}});
  check(Field<TttConfig, Index>{"checkpoint_interval", &TttConfig::checkpoint_interval, no_sizes, {1, 9}});
  check(Field<TttConfig, Index>{"initial_rank", &TttConfig::initial_rank, {-1, 5, most, least}, {0, 1, 4}});
  check(Field<TttConfig, double>{"rope_theta", &TttConfig::rope_theta, not_positive, positive});
  check(Field<TttConfig, double>{"norm_epsilon", &TttConfig::norm_epsilon, not_positive, positive});
  check(Field<TttConfig, std::optional<double>>{"base_learning_rate",
                                                &TttConfig::base_learning_rate,
                                                {-1, -1e-50, 1e50, not_a_number, infinity, -infinity},
                                                {std::nullopt, 0, 1e-50, 1e-3, 100}});
  sound.initial_rank = 2;
  check(Field<TttConfig, double>{
      "initial_identity", &TttConfig::initial_identity, {-1, 1e50, not_a_number, infinity, -infinity}, {0, 0.5, 1e3}});
}

void check_attention(const AttentionConfig& options) {
  AttentionConfig sound = options;
  sound.width = 12;
  sound.heads = 3;
  const auto check = [&]<class Number>(const Field<AttentionConfig, Number>& field) {
    check_field<AttentionConfig, Number>(sound, field, use_layer<Attention<float>>);
  };
  check(Field<AttentionConfig, Index>{"width", &AttentionConfig::width, {0, -1, most, least}, {24}});
  check(Field<AttentionConfig, Index>{"heads", &AttentionConfig::heads, {0, -3, 5, 4, most, least}, {1, 2, 6}});
  check(Field<AttentionConfig, Index>{
      "key_value_heads", &AttentionConfig::key_value_heads, {-1, 2, 4, most, least}, {0, 1, 3}});
  check(Field<AttentionConfig, double>{"rope_theta", &AttentionConfig::rope_theta, not_positive, positive});
  if (sound.memory == AttentionMemory::ring)
    check(Field<AttentionConfig, Index>{"window", &AttentionConfig::window, no_sizes, {1, 100}});
  else
    check(Field<AttentionConfig, Index>{"window", &AttentionConfig::window, {-1, most, least}, {0, 1, 100}});
  if (sound.window > 0)
    check(Field<AttentionConfig, Index>{"sinks", &AttentionConfig::sinks, {-1, most, least}, {0, 1, 100}});
  else
    check(Field<AttentionConfig, Index>{"sinks", &AttentionConfig::sinks, {-1, 1, most, least}, {0}});
  check(Field<AttentionConfig, Index>{
      "head_channels", &AttentionConfig::head_channels, {-2, 7, (Index{1} << 30) + 2, most, least}, {0, 2, 10}});
  sound.query_key_norm = true;
  check(Field<AttentionConfig, double>{"norm_epsilon", &AttentionConfig::norm_epsilon, not_positive, positive});
}

}  // namespace

TEST_CASE("Every number of a TTT layer's configuration has a domain") {
  check_ttt<TttLinear<float>>();
  check_ttt<TttMlp<float>>();
}

TEST_CASE("Every number of attention's configuration has a domain") {
  check_attention({});
  check_attention({.window = 5});
  check_attention({.window = 5, .memory = AttentionMemory::ring});
}

TEST_CASE("Every number of a model's configuration has a domain") {
  ModelConfig sound = testing::tiny_config("attention", Backbone::mamba);
  sound.vocabulary = 5;
  const auto check = [&]<class Number>(const Field<ModelConfig, Number>& field) {
    check_field<ModelConfig, Number>(sound, field, use_model);
  };
  check(Field<ModelConfig, Index>{"vocabulary", &ModelConfig::vocabulary, no_sizes, {5, 9}});
  check(Field<ModelConfig, Index>{"width", &ModelConfig::width, {0, -1, most, least}, {24}});
  check(Field<ModelConfig, Index>{"depth", &ModelConfig::depth, no_sizes, {1, 3}});
  check(Field<ModelConfig, double>{"norm_epsilon", &ModelConfig::norm_epsilon, not_positive, positive});
  const auto check_block = [&](const Field<BlockDescription, Index>& field) {
    const auto use = [&](const BlockDescription& block) {
      ModelConfig config = sound;
      config.pattern = {block};
      use_model(config);
    };
    check_field<BlockDescription, Index>(sound.pattern.front(), field, use);
  };
  check_block({"hidden", &BlockDescription::hidden, {-1, (Index{1} << 30) + 1, most, least}, {0, 1, 33}});
  check_block({"conv", &BlockDescription::conv_taps, no_sizes, {1, 5}});
}
