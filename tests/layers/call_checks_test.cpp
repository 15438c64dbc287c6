// SPDX-License-Identifier: MIT
#include "ttt/layers/call_checks.hpp"

#include <vector>

#include "suites/wrong_calls.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "ttt/layers/gated_delta_net.hpp"
#include "ttt/layers/gated_linear_attention.hpp"
#include "ttt/layers/gated_short_convolution.hpp"
#include "ttt/layers/kimi_delta_attention.hpp"
#include "ttt/layers/lact.hpp"
#include "ttt/layers/mamba.hpp"
#include "ttt/layers/mamba2.hpp"
#include "ttt/layers/short_convolution.hpp"
#include "ttt/layers/swiglu.hpp"
#include "ttt/models/residual.hpp"

using namespace ttt;

namespace {

constexpr Index mini_batch = 4;
const suites::LayerCase fixed{.mini_batch = mini_batch}, growing{.mini_batch = mini_batch, .state_grows = true};

TttConfig ttt_sizes(Index width, Index heads) {
  TttConfig config;
  config.width = width;
  config.heads = heads;
  config.mini_batch = mini_batch;
  return config;
}
TttConfig mamba_sizes() {
  TttConfig config = ttt_sizes(12, 3);
  config.gate = config.share_query_key = true;
  return config;
}
/// Without queries, from initial weights of low rank.
TttConfig simplified_sizes() {
  TttConfig config = ttt_sizes(12, 3);
  config.order = rules::TttOrder::simplified;
  config.initial_rank = 2;
  return config;
}
/// With a window, on a ring.
AttentionConfig attention_sizes(Index width, Index heads, Index window = 0, Index sinks = 0) {
  AttentionConfig config;
  config.width = width;
  config.heads = heads;
  config.window = window;
  config.sinks = sinks;
  if (window > 0) config.memory = AttentionMemory::ring;
  return config;
}

/// Another width, other heads, another mini-batch, another kind of backbone; the last two for States of the same size.
template <class Layer>
std::vector<Layer> others_of_ttt() {
  TttConfig longer = ttt_sizes(12, 3);
  longer.mini_batch = 2 * mini_batch;
  return {Layer(ttt_sizes(24, 3)), Layer(ttt_sizes(12, 2)), Layer(longer)};
}

template <class Layer>
Index check_ttt() {
  const auto others = others_of_ttt<Layer>();
  return suites::check_wrong_calls(Layer(ttt_sizes(12, 3)), fixed, others) +
         suites::check_wrong_calls(Layer(mamba_sizes()), fixed, others) +
         suites::check_wrong_calls(Layer(simplified_sizes()), fixed, others);
}

template <class Scalar>
Index check_residual() {
  const auto make = [](Index width, const ResidualConfig& config) {
    return Residual(config, TttLinear<Scalar>(ttt_sizes(width, 3)));
  };
  const ResidualConfig plain, sandwich{"layer", "norm", "post_norm"}, bare{"layer", ""};
  Index cells = 0;
  for (const ResidualConfig& config : {plain, sandwich, bare})
    cells += suites::check_wrong_calls(make(12, config), fixed, {make(24, config)}, true);
  return cells;
}

/// The layer is out of room: nothing has been written either.
template <class Scalar>
Index check_residual_of_attention() {
  using Layer = AnySequenceLayer<Scalar>;
  const auto make = [](Index width) { return Residual({}, Layer(Attention<Scalar>(attention_sizes(width, 3)))); };
  return suites::check_wrong_calls(make(12), growing, {make(24)}, true);
}

/// A convolution and an MLP.
template <class Scalar>
Index check_parts() {
  return suites::check_wrong_calls(ShortConvolution<Scalar>({12, 3}), fixed,
                                   {ShortConvolution<Scalar>({24, 3}), ShortConvolution<Scalar>({12, 4})}) +
         suites::check_wrong_calls(Swiglu<Scalar>({12, 10}), fixed,
                                   {Swiglu<Scalar>({24, 10}), Swiglu<Scalar>({12, 11})});
}

template <class Scalar>
Index check_any() {
  using Layer = AnySequenceLayer<Scalar>;
  const Layer linear(TttLinear<Scalar>(ttt_sizes(12, 3))), wide(TttLinear<Scalar>(ttt_sizes(24, 3)));
  const Layer attention(Attention<Scalar>(attention_sizes(12, 3))), ring(Attention<Scalar>(attention_sizes(12, 3, 5)));
  return suites::check_wrong_calls(linear, fixed, {wide, attention, ring}) +
         suites::check_wrong_calls(attention, growing, {wide, linear, ring});
}

template <class Scalar>
Index check_attention() {
  using Layer = Attention<Scalar>;
  AttentionConfig keeps_all = attention_sizes(12, 3, 5);
  keeps_all.memory = AttentionMemory::growing;
  return suites::check_wrong_calls(Layer(attention_sizes(12, 3)), growing,
                                   {Layer(attention_sizes(24, 3)), Layer(attention_sizes(12, 2)), Layer(keeps_all)}) +
         suites::check_wrong_calls(Layer(attention_sizes(12, 3, 5)), fixed,
                                   {Layer(attention_sizes(24, 3, 5)), Layer(attention_sizes(12, 3, 6)),
                                    Layer(attention_sizes(12, 3, 5, 2)), Layer(keeps_all)});
}

template <class Scalar>
Index check_recurrent() {
  const auto delta = [](Index width, Index value_width) {
    return GatedDeltaNet<Scalar>(
        {.width = width, .heads = 2, .value_heads = 4, .key_width = 3, .value_width = value_width});
  };
  const auto by_row = [](Index width, Index rank) {
    return KimiDeltaAttention<Scalar>({.width = width, .heads = 2, .key_width = 3, .value_width = 2, .rank = rank});
  };
  const auto sums = [](Index width, Index rank) {
    return GatedLinearAttention<Scalar>({.width = width, .heads = 2, .key_width = 3, .decay_rank = rank});
  };
  const auto mamba = [](Index width, Index heads) {
    return Mamba2<Scalar>({.width = width, .heads = heads, .head_width = 3, .groups = 2, .state_width = 4});
  };
  const auto scan = [](Index width, Index inner) {
    return Mamba<Scalar>({.width = width, .inner_width = inner, .state_width = 2});
  };
  const auto chunks = [](Index width, Index window) {
    return Lact<Scalar>({.width = width, .heads = 3, .fast_heads = 2, .chunk = mini_batch, .window = window});
  };
  const auto taps = [](Index width, Index count) {
    return GatedShortConvolution<Scalar>({.width = width, .conv_taps = count});
  };
  return suites::check_wrong_calls(taps(12, 3), fixed, {taps(24, 3), taps(12, 4)}) +
         suites::check_wrong_calls(chunks(12, 5), fixed, {chunks(24, 5), chunks(12, 6), chunks(12, 0)}) +
         suites::check_wrong_calls(scan(12, 9), fixed, {scan(24, 9), scan(12, 8)}) +
         suites::check_wrong_calls(delta(12, 2), fixed, {delta(24, 2), delta(12, 3)}) +
         suites::check_wrong_calls(by_row(12, 2), fixed, {by_row(24, 2), by_row(12, 3)}) +
         suites::check_wrong_calls(sums(12, 2), fixed, {sums(24, 2), sums(12, 3)}) +
         suites::check_wrong_calls(mamba(12, 4), fixed, {mamba(24, 4), mamba(12, 2)});
}

}  // namespace

TEST_CASE("Every wrong call of a recurrent layer is an Error that changes nothing") {
  CHECK(check_recurrent<float>() > 300);
  CHECK(check_recurrent<double>() > 300);
}

TEST_CASE("Every wrong call of a TTT layer is an Error that changes nothing") {
  CHECK(check_ttt<TttLinear<float>>() > 200);
  CHECK(check_ttt<TttLinear<double>>() > 200);
  CHECK(check_ttt<TttMlp<float>>() > 200);
  CHECK(check_ttt<TttMlp<double>>() > 200);
}

TEST_CASE("Every wrong call of attention is an Error that changes nothing") {
  CHECK(check_attention<float>() > 200);
  CHECK(check_attention<double>() > 200);
}

TEST_CASE("Every wrong call of an AnySequenceLayer is an Error that changes nothing") {
  CHECK(check_any<float>() > 200);
  CHECK(check_any<double>() > 200);
}

TEST_CASE("Every wrong call of what models are made of is an Error that changes nothing") {
  CHECK(check_residual<float>() > 270);
  CHECK(check_residual<double>() > 270);
  CHECK(check_residual_of_attention<float>() > 90);
  CHECK(check_parts<float>() > 200);
  CHECK(check_parts<double>() > 200);
}

TEST_CASE("Views overlap where they have an element in common") {
  std::vector<float> memory(100);
  const auto view = [&](Index first, Index rows, Index columns, Index stride) {
    return MatrixView<const float>(memory.data() + first, rows, columns, stride);
  };
  CHECK(detail::overlap(view(0, 4, 5, 10), view(0, 4, 5, 10)));
  CHECK(detail::overlap(view(0, 4, 5, 10), view(4, 4, 5, 10)));
  CHECK(detail::overlap(view(5, 4, 5, 10), view(1, 4, 5, 10)));
  CHECK(detail::overlap(view(0, 4, 5, 10), view(30, 4, 5, 10)));
  CHECK(detail::overlap(view(3, 4, 5, 10), view(12, 2, 2, 10)));
  CHECK(detail::overlap(view(0, 4, 5, 10), view(32, 1, 1, 1)));
  CHECK(detail::overlap(view(0, 4, 5, 10), view(7, 3, 3, 7)));
  CHECK_FALSE(detail::overlap(view(0, 4, 5, 10), view(5, 4, 5, 10)));
  CHECK_FALSE(detail::overlap(view(0, 4, 5, 10), view(40, 4, 5, 10)));
  CHECK_FALSE(detail::overlap(view(0, 4, 5, 10), view(16, 1, 4, 4)));
  CHECK_FALSE(detail::overlap(view(0, 4, 5, 10), view(0, 0, 5, 10)));
  CHECK_FALSE(detail::overlap(view(0, 4, 5, 10), MatrixView<const float>()));
}

TEST_CASE("Many segments in any order of addresses are told apart, and two that share a State are found") {
  const TttLinear<float> layer(ttt_sizes(4, 1));
  ParameterStore<TttLinear<float>::Parameters> store(layer.make_parameters());
  initialize(store.views(), 1);
  std::vector<TttLinear<float>::State> states(20, layer.initial_state(store.views()));
  std::vector<Segment<TttLinear<float>::State>> segments;
  for (std::size_t i = 0; i < states.size(); ++i) segments.push_back({1, &states[i * 7 % states.size()]});
  const auto x = testing::random_matrix<float>(20, 4, 1);
  testing::Matrix<float> y(20, 4);
  Context context;
  const auto forward = [&] {
    layer.forward(store.views(), x.view(), std::span<const Segment<TttLinear<float>::State>>(segments), y.view(),
                  context);
  };
  CHECK_NOTHROW(forward());
  segments[17].state = segments[4].state;
  CHECK(testing::error_lacks(forward, {"State of segment 17", "segment 4"}) == "");
}
