// SPDX-License-Identifier: MIT
#include "ttt/layers/attention.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/compiled_layers.hpp"
#include "support/error_message.hpp"
#include "support/random_matrix.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/rules/attention/reference.hpp"

namespace {

using namespace ttt;
using testing::Matrix;
using testing::random_matrix;

static_assert(TrainableSequenceLayer<Attention<float>> && TrainableSequenceLayer<SlidingWindowAttention<double>>);

/// C = 24, H = 4, D = 6; the window is W = 5.
AttentionConfig configuration(Index key_value_heads) {
  AttentionConfig config;
  config.width = 24;
  config.heads = 4;
  config.key_value_heads = key_value_heads;
  config.window = 5;
  return config;
}

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
  const AttentionConfig plain = configuration(key_value_heads), all = with_options(plain);
  AttentionConfig wide = plain, bias = plain, norm = plain, none = plain, scaled = plain;
  wide.head_channels = 10;
  bias.bias = true;
  norm.query_key_norm = true;
  none.rotary = false, none.head_channels = 5;
  scaled.rotary_scaling = all.rotary_scaling;
  return {{"head_channels", wide}, {"bias", bias},     {"query_key_norm", norm},
          {"no rotary", none},     {"scaled", scaled}, {"all of them", all}};
}

/// Weights of order one, so that the softmax is far from uniform.
template <class Definition>
Layer<Definition> sharp_layer(const AttentionConfig& config) {
  using Scalar = typename Definition::Scalar;
  Layer<Definition> layer(config, 3);
  layer.parameters().visit([](std::string_view, Tensor<Scalar>& tensor, const ParameterInfo&) {
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] *= Scalar(20);
  });
  const RandomStream random(4, "biases and norms");
  std::uint64_t next = 0;
  auto& parameters = layer.parameters();
  for (auto* bias : {&parameters.query_bias, &parameters.key_bias, &parameters.value_bias})
    for (Index i = 0; config.bias && i < bias->size(); ++i) (*bias)[i] = static_cast<Scalar>(random.normal(next++));
  for (auto* norm : {&parameters.query_norm, &parameters.key_norm})
    for (Index i = 0; config.query_key_norm && i < norm->size(); ++i)
      (*norm)[i] = static_cast<Scalar>(1 + random.normal(next++) / 2);
  return layer;
}

/// Outputs of x in pieces of the given lengths, from a fresh state of the right capacity.
template <class Definition, class Scalar = typename Definition::Scalar>
Matrix<Scalar> read(const Layer<Definition>& layer, const Matrix<Scalar>& x, const std::vector<Index>& lengths,
                    std::int64_t position = 0) {
  auto state = layer.initial_state(x.rows() + static_cast<Index>(position));
  state.position = position;
  Matrix<Scalar> y(x.rows(), x.columns());
  Context context;
  Index first = 0;
  for (const Index length : lengths) {
    layer.forward(x.rows(first, length), state, y.rows(first, length), context);
    first += length;
  }
  return y;
}

template <class Scalar>
std::string far_apart(const Matrix<Scalar>& actual, const Matrix<Scalar>& wanted, double tolerance) {
  return testing::far_apart(testing::parts_of(actual.view(), "")[0].values,
                            testing::parts_of(wanted.view(), "")[0].values, tolerance);
}

template <class Scalar>
bool same_bits(const Matrix<Scalar>& a, const Matrix<Scalar>& b) {
  return testing::bits_differ(testing::parts_of(a.view(), "")[0].values, testing::parts_of(b.view(), "")[0].values)
      .empty();
}

/// y[t][o] = Σ_i x[t][i] W[o][i], from the published layout.
template <class Scalar>
Matrix<Scalar> times_weight(const Matrix<Scalar>& x, const Tensor<Scalar>& weight) {
  const Index out = weight.shape()[0], in = weight.shape()[1];
  Matrix<Scalar> y(x.rows(), out);
  for (Index t = 0; t < x.rows(); ++t)
    for (Index o = 0; o < out; ++o)
      for (Index i = 0; i < in; ++i) y(t, o) += x(t, i) * weight[o * in + i];
  return y;
}

/// Adds a bias to every row.
template <class Scalar>
void add_bias(Matrix<Scalar>& x, const Tensor<Scalar>& bias) {
  for (Index t = 0; t < x.rows(); ++t)
    for (Index c = 0; c < bias.size(); ++c) x(t, c) += bias[c];
}

/// RMS norm of every head, written as the formula.
template <class Scalar>
void norm(Matrix<Scalar>& x, const Tensor<Scalar>& weight, double epsilon) {
  const Index width = weight.size();
  for (Index t = 0; t < x.rows(); ++t)
    for (Index head = 0; head < x.columns(); head += width) {
      double sum = 0;
      for (Index d = 0; d < width; ++d) sum += x(t, head + d) * x(t, head + d);
      for (Index d = 0; d < width; ++d)
        x(t, head + d) *= weight[d] / std::sqrt(sum / static_cast<double>(width) + epsilon);
    }
}

/// Rotary embedding of halves, written as the formula.
template <class Scalar>
void rotate(Matrix<Scalar>& x, const AttentionConfig& config) {
  const Index head_width = config.head_width();
  const auto frequencies = kernels::rotary_frequencies(head_width, config.rope_theta, config.rotary_scaling);
  for (Index t = 0; t < x.rows(); ++t)
    for (Index head = 0; head < x.columns(); head += head_width)
      for (Index j = 0; j < head_width / 2; ++j) {
        const double angle = static_cast<double>(t) * frequencies.values[j];
        const double cosine = frequencies.magnitude * std::cos(angle), sine = frequencies.magnitude * std::sin(angle);
        Scalar &a = x(t, head + j), &b = x(t, head + j + head_width / 2);
        const double first = a * cosine - b * sine, second = b * cosine + a * sine;
        a = static_cast<Scalar>(first);
        b = static_cast<Scalar>(second);
      }
}

/// The whole layer from its formula.
template <class Definition, class Scalar = typename Definition::Scalar>
Matrix<Scalar> expected(const Layer<Definition>& layer, const Matrix<Scalar>& x, Index window) {
  const AttentionConfig& config = layer.definition().config();
  const Index width = config.head_width(), group = config.heads / config.key_value_count();
  const auto& weights = layer.parameters();
  auto queries = times_weight(x, weights.query), keys = times_weight(x, weights.key),
       values = times_weight(x, weights.value);
  if (config.bias) add_bias(queries, weights.query_bias);
  if (config.bias) add_bias(keys, weights.key_bias);
  if (config.bias) add_bias(values, weights.value_bias);
  if (config.query_key_norm) norm(queries, weights.query_norm, config.norm_epsilon);
  if (config.query_key_norm) norm(keys, weights.key_norm, config.norm_epsilon);
  if (config.rotary) rotate(queries, config);
  if (config.rotary) rotate(keys, config);
  Matrix<Scalar> heads(x.rows(), config.query_width());
  const auto columns = [&](const Matrix<Scalar>& m, Index head) { return m.view().columns(head * width, width); };
  for (Index head = 0; head < config.heads; ++head)
    reference::attention<Scalar>(columns(queries, head), columns(keys, head / group), columns(values, head / group),
                                 window, heads.view().columns(head * width, width));
  return times_weight(heads, weights.output);
}

void refused(const auto& action, std::initializer_list<std::string_view> words) {
  CHECK(testing::error_lacks(action, words) == "");
}

}  // namespace

TEMPLATE_TEST_CASE("Attention is a sequence layer", "[layers][attention]", float, double) {
  for (const Index key_value_heads : {0, 2, 1}) {
    INFO("key/value heads " << key_value_heads);
    suites::check_sequence_layer(Attention<TestType>(configuration(key_value_heads)),
                                 {.mini_batch = 5, .state_grows = true, .seed = 1, .spread = 0.2, .prepare = {}});
  }
}

TEMPLATE_TEST_CASE("SlidingWindowAttention is a sequence layer", "[layers][attention]", float, double) {
  for (const Index key_value_heads : {0, 2}) {
    INFO("key/value heads " << key_value_heads);
    suites::check_sequence_layer(SlidingWindowAttention<TestType>(configuration(key_value_heads)),
                                 {.mini_batch = 5, .state_grows = false, .seed = 1, .spread = 0.2, .prepare = {}});
  }
}

TEMPLATE_TEST_CASE("attention with any of its options is a sequence layer", "[layers][attention]", float, double) {
  for (const auto& [name, config] : options(2)) {
    INFO(name);
    suites::check_sequence_layer(Attention<TestType>(config),
                                 {.mini_batch = 5, .state_grows = true, .seed = 1, .spread = 0.2, .prepare = {}});
    suites::check_sequence_layer(SlidingWindowAttention<TestType>(config),
                                 {.mini_batch = 5, .state_grows = false, .seed = 1, .spread = 0.2, .prepare = {}});
  }
}

TEST_CASE("attention with any of its options computes its formula", "[layers][attention]") {
  const auto x = random_matrix<double>(120, 24, 5);
  const auto plain = read(sharp_layer<Attention<double>>(configuration(2)), x, {120});
  for (const auto& [name, config] : options(2)) {
    INFO(name);
    const auto full = sharp_layer<Attention<double>>(config);
    const auto sliding = sharp_layer<SlidingWindowAttention<double>>(config);
    const auto y = read(full, x, {120});
    CHECK(far_apart(y, expected(full, x, 120), 1e-12) == "");
    CHECK(far_apart(read(sliding, x, {120}), expected(sliding, x, config.window), 1e-12) == "");
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
  CHECK(names(configuration(2)) ==
        "q_proj.weight[24 x 24] k_proj.weight[12 x 24] v_proj.weight[12 x 24] o_proj.weight[24 x 24] ");
  CHECK(names(with_options(configuration(2))) ==
        "q_proj.weight[40 x 24] k_proj.weight[20 x 24] v_proj.weight[20 x 24] o_proj.weight[24 x 40] q_proj.bias[40] "
        "k_proj.bias[20] v_proj.bias[20] q_norm.weight[10] k_norm.weight[10] ");
}

TEST_CASE("parameters and states of attention with other options are someone else's", "[layers][attention]") {
  const Attention<float> plain(configuration(2));
  for (const auto& [name, config] : options(2)) {
    if (name == "scaled") continue;  // the same shapes, and the numbers are no part of them
    INFO(name);
    const Attention<float> other(config);
    const ParameterStore parameters(other.make_parameters());
    CHECK_FALSE(plain.accepts(parameters.views()));
    CHECK_FALSE(plain.accepts(other.initial_state(parameters.views(), 8)));
  }
}

TEST_CASE("attention layers compute their formula", "[layers][attention]") {
  for (const Index key_value_heads : {4, 2, 1}) {
    const auto config = configuration(key_value_heads);
    const auto x = random_matrix<double>(203, 24, 5);
    const auto full = sharp_layer<Attention<double>>(config);
    const auto sliding = sharp_layer<SlidingWindowAttention<double>>(config);
    // Projections of 24 terms and softmax over up to 203: far below 1e-12 of the largest output.
    const auto y = read(full, x, {203});
    CHECK(far_apart(y, expected(full, x, 203), 1e-12) == "");
    CHECK(far_apart(read(sliding, x, {203}), expected(sliding, x, config.window), 1e-12) == "");
    CHECK(same_bits(read(full, x, {1, 95, 1, 60, 46}), y));
    CHECK(same_bits(read(full, x, std::vector<Index>(203, 1)), y));
  }
}

TEST_CASE("a ring that wraps gives the bits of one pass", "[layers][attention]") {
  for (const Index window : {1, 2, 7, 96, 100, 150}) {
    INFO("window " << window);
    auto config = configuration(2);
    config.window = window;
    const auto layer = sharp_layer<SlidingWindowAttention<float>>(config);
    const auto x = random_matrix<float>(330, 24, 6);
    const auto y = read(layer, x, {330});
    CHECK(same_bits(read(layer, x, std::vector<Index>(330, 1)), y));
    CHECK(same_bits(read(layer, x, {3, 1, window, 100, 226 - window}), y));
  }
}

TEST_CASE("a window as long as the sequence is no window", "[layers][attention]") {
  auto config = configuration(2);
  config.window = 120;
  const auto x = random_matrix<double>(120, 24, 7);
  CHECK(same_bits(read(sharp_layer<SlidingWindowAttention<double>>(config), x, {120}),
                  read(sharp_layer<Attention<double>>(config), x, {120})));
  config.window = 119;
  CHECK_FALSE(same_bits(read(sharp_layer<SlidingWindowAttention<double>>(config), x, {120}),
                        read(sharp_layer<Attention<double>>(config), x, {120})));
}

TEST_CASE("a window of one token returns its value", "[layers][attention]") {
  auto config = configuration(0);
  config.window = 1;
  const auto layer = sharp_layer<SlidingWindowAttention<double>>(config);
  const auto x = random_matrix<double>(30, 24, 8);
  const auto wanted = times_weight(times_weight(x, layer.parameters().value), layer.parameters().output);
  CHECK(far_apart(read(layer, x, {30}), wanted, 1e-14) == "");
}

TEST_CASE("only distances count, however far from the beginning", "[layers][attention]") {
  auto config = configuration(2);
  config.window = 20;
  const auto layer = sharp_layer<SlidingWindowAttention<double>>(config);
  const auto x = random_matrix<double>(60, 24, 9);
  const auto near = read(layer, x, {60}), far = read(layer, x, {30, 30}, 100000);
  // The first 19 rows of the far run see the zeros of the empty ring. Angles near 1e5 carry an error of 1e5 ε = 2e-11,
  // which scores of order ten turn into a few 1e-10.
  Matrix<double> near_rows(41, 24), far_rows(41, 24);
  copy(near.rows(19, 41), near_rows.view());
  copy(far.rows(19, 41), far_rows.view());
  CHECK(far_apart(far_rows, near_rows, 1e-9) == "");
  CHECK_FALSE(far_apart(far, near, 1e-3).empty());
}

TEST_CASE("grouped heads are repeated key/value heads", "[layers][attention]") {
  const auto grouped = sharp_layer<Attention<double>>(configuration(2));
  auto full = sharp_layer<Attention<double>>(configuration(4));
  const auto repeat = [](const Tensor<double>& from, Tensor<double>& to) {
    for (Index row = 0; row < 24; ++row)
      for (Index c = 0; c < 24; ++c) to[row * 24 + c] = from[(row / 6 / 2 * 6 + row % 6) * 24 + c];
  };
  full.parameters() = full.store().views();
  repeat(grouped.parameters().key, full.parameters().key);
  repeat(grouped.parameters().value, full.parameters().value);
  for (Index i = 0; i < 24 * 24; ++i) {
    full.parameters().query[i] = grouped.parameters().query[i];
    full.parameters().output[i] = grouped.parameters().output[i];
  }
  const auto x = random_matrix<double>(110, 24, 10);
  CHECK(same_bits(read(grouped, x, {110}), read(full, x, {110})));
}

TEST_CASE("interleaved pairs turn other channels", "[layers][attention]") {
  auto config = configuration(4);
  const auto halves = sharp_layer<Attention<double>>(config);
  config.rotary_pairs = kernels::RotaryPairs::interleaved;
  auto interleaved = sharp_layer<Attention<double>>(config);
  const auto x = random_matrix<double>(40, 24, 11);
  CHECK_FALSE(far_apart(read(interleaved, x, {40}), read(halves, x, {40}), 1e-3).empty());
  // Channel j of the first half becomes channel 2j, of the second 2j + 1: then both are the same layer.
  const auto permute = [](const Tensor<double>& from, Tensor<double>& to) {
    for (Index row = 0; row < 24; ++row) {
      const Index channel = row % 6, target = row - channel + (channel < 3 ? 2 * channel : 2 * (channel - 3) + 1);
      for (Index c = 0; c < 24; ++c) to[target * 24 + c] = from[row * 24 + c];
    }
  };
  permute(halves.parameters().query, interleaved.parameters().query);
  permute(halves.parameters().key, interleaved.parameters().key);
  CHECK(far_apart(read(interleaved, x, {40}), read(halves, x, {40}), 1e-13) == "");
}

TEST_CASE("a growing cache refuses what does not fit and changes nothing", "[layers][attention]") {
  const auto layer = sharp_layer<Attention<float>>(configuration(2));
  using State = Attention<float>::State;
  const auto x = random_matrix<float>(12, 24, 12);
  Matrix<float> y(12, 24, 777.0F);
  Context context;
  State first = layer.initial_state(12), second = layer.initial_state(9);
  layer.forward(x.rows(0, 4), second, y.rows(0, 4), context);
  const State first_before = first, second_before = second;
  const auto y_before = y;
  const std::vector<Segment<State>> segments{{6, &first, false}, {6, &second, false}};
  refused([&] { layer.forward(x.view(), segments, y.view(), context); }, {"attention", "at most 9 tokens", "10"});
  CHECK(first == first_before);
  CHECK(second == second_before);
  CHECK(same_bits(y, y_before));
  State empty = layer.initial_state();
  refused([&] { layer.forward(x.view(), empty, y.view(), context); }, {"at most 0 tokens", "initial_state", "12"});
  const std::vector<Segment<State>> fits{{6, &first, false}, {6, &second, true}};
  CHECK_NOTHROW(layer.forward(x.view(), fits, y.view(), context));
}

TEST_CASE("a reset wipes what the longer sequence before it left", "[layers][attention]") {
  const auto layer = sharp_layer<Attention<double>>(configuration(2));
  using State = Attention<double>::State;
  const auto x = random_matrix<double>(20, 24, 13);
  Matrix<double> y(20, 24);
  Context context;
  State used = layer.initial_state(30), fresh = layer.initial_state(30);
  layer.forward(x.view(), used, y.view(), context);
  const std::vector<Segment<State>> again{{7, &used, true}};
  layer.forward(x.rows(0, 7), again, y.rows(0, 7), context);
  layer.forward(x.rows(0, 7), fresh, y.rows(0, 7), context);
  CHECK(used == fresh);
}

TEST_CASE("the record takes what record_bytes says", "[layers][attention]") {
  const auto layer = sharp_layer<Attention<float>>(configuration(2));
  for (const Index tokens : {1, 40, 777}) {
    const auto x = random_matrix<float>(tokens, 24, 14);
    Matrix<float> y(tokens, 24);
    Context context;
    auto state = layer.initial_state(tokens);
    Attention<float>::Record record;
    const std::vector<Segment<Attention<float>::State>> segments{{tokens, &state, false}};
    layer.definition().forward(layer.parameters(), x.view(), segments, y.view(), context, &record);
    CHECK(record.arena.bytes() == layer.definition().record_bytes(tokens));
    CHECK(state.values.bytes() == state_bytes(layer.definition(), tokens));
  }
  // A Record keeps queries and keys from before their norm, too.
  AttentionConfig config = configuration(2);
  config.query_key_norm = true;
  CHECK(Attention<float>(config).record_bytes(64) ==
        Attention<float>(configuration(2)).record_bytes(64) + sizeof(float) * 64 * (24 + 12));
}

TEST_CASE("attention refuses options that make no layer", "[layers][attention]") {
  const auto build = [](Index width, Index heads, Index key_value_heads, Index window) {
    AttentionConfig config;
    config.width = width;
    config.heads = heads;
    config.key_value_heads = key_value_heads;
    config.window = window;
    return [config] { SlidingWindowAttention<float>{config}; };
  };
  CHECK_NOTHROW(build(24, 4, 2, 1)());
  refused(build(0, 4, 0, 8), {"width", "at least 1", "found 0"});
  refused(build(30, 4, 0, 8), {"heads", "30", "found 4"});
  refused(build(24, 0, 0, 8), {"heads", "found 0"});
  refused(build(24, 4, 3, 8), {"key_value_heads", "4 heads", "found 3"});
  refused(build(24, 4, -1, 8), {"key_value_heads", "found -1"});
  refused(build(24, 8, 0, 8), {"heads", "even head width", "found 8"});
  refused(build(24, 4, 2, 0), {"window", "at least 1", "found 0"});
  AttentionConfig config = configuration(2);
  config.window = 0;
  CHECK_NOTHROW(Attention<float>(config));
  config.rope_theta = -1;
  refused([&] { Attention<float>{config}; }, {"theta"});
  config.rotary = false;
  CHECK_NOTHROW(Attention<float>(config));
}

TEST_CASE("attention refuses numbers of its options that make no layer, by name", "[layers][attention]") {
  const auto with = [](const auto& change) {
    AttentionConfig config = with_options(configuration(2));
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
  CHECK_NOTHROW(with([](auto& config) { config.heads = 6; })());  // heads need not divide the width
  CHECK_NOTHROW(with([](auto& config) { config.rotary = false, config.head_channels = 7; })());
}
