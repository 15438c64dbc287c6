// SPDX-License-Identifier: MIT
#include "layers/attention_layers.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"

namespace {

using namespace ttt;
using namespace ttt::testing;

static_assert(TrainableSequenceLayer<Attention<float>> && TrainableSequenceLayer<Attention<double>>);

}  // namespace

TEMPLATE_TEST_CASE("Attention is a sequence layer", "[layers][attention]", float, double) {
  for (const Index key_value_heads : {0, 2, 1}) {
    INFO("key/value heads " << key_value_heads);
    check_attention<TestType>(small_attention(key_value_heads));
  }
}

TEST_CASE("attention computes its formula", "[layers][attention]") {
  for (const Index key_value_heads : {4, 2, 1}) {
    const auto x = random_matrix<double>(203, 24, 5);
    const auto layer = sharp_layer<double>(small_attention(key_value_heads));
    // Projections of 24 terms and softmax over up to 203: far below 1e-12 of the largest output.
    const auto y = read(layer, x, {203});
    CHECK(far_apart(y, expected(layer, x), 1e-12) == "");
    CHECK(same_bits(read(layer, x, {1, 95, 1, 60, 46}), y));
    CHECK(same_bits(read(layer, x, std::vector<Index>(203, 1)), y));
  }
}

TEST_CASE("grouped heads are repeated key/value heads", "[layers][attention]") {
  const auto grouped = sharp_layer<double>(small_attention(2));
  auto full = sharp_layer<double>(small_attention(4));
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
  auto config = small_attention(4);
  const auto halves = sharp_layer<double>(config);
  config.rotary_pairs = kernels::RotaryPairs::interleaved;
  auto interleaved = sharp_layer<double>(config);
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
  const auto layer = sharp_layer<float>(small_attention(2));
  using State = Attention<float>::State;
  const auto x = random_matrix<float>(12, 24, 12);
  Matrix<float> y(12, 24, 777.0F);
  Context context;
  State first = layer.initial_state(12), second = layer.initial_state(9);
  layer.forward(x.rows(0, 4), second, y.rows(0, 4), context);
  const State first_before = first, second_before = second;
  const auto y_before = y;
  const std::vector<Segment<State>> segments{{6, &first, false}, {6, &second, false}};
  const auto lacks = [&](const auto& action, std::initializer_list<std::string_view> words) {
    return error_lacks(action, words);
  };
  CHECK(lacks([&] { layer.forward(x.view(), segments, y.view(), context); }, {"attention", "at most 9 tokens", "10"}) ==
        "");
  CHECK(first == first_before);
  CHECK(second == second_before);
  CHECK(same_bits(y, y_before));
  State empty = layer.initial_state();
  CHECK(lacks([&] { layer.forward(x.view(), empty, y.view(), context); },
              {"at most 0 tokens", "initial_state", "12"}) == "");
  const std::vector<Segment<State>> fits{{6, &first, false}, {6, &second, true}};
  CHECK_NOTHROW(layer.forward(x.view(), fits, y.view(), context));
}

TEST_CASE("a reset wipes what the longer sequence before it left", "[layers][attention]") {
  const auto layer = sharp_layer<double>(small_attention(2));
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
  const auto layer = sharp_layer<float>(small_attention(2));
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
  AttentionConfig config = small_attention(2);
  config.query_key_norm = true;
  CHECK(Attention<float>(config).record_bytes(64) ==
        Attention<float>(small_attention(2)).record_bytes(64) + sizeof(float) * 64 * (24 + 12));
}
