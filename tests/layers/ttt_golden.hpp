// SPDX-License-Identifier: MIT
/// @file
/// Golden numbers of the published TTT layers: a whole forward and backward, and a prefill followed by single tokens.
#pragma once

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "ttt/layers/ttt/ttt_layer.hpp"

namespace ttt::ttt_golden {

/// Largest difference relative to max(1, largest reference), as the README of the golden files measures.
inline double distance(const std::vector<double>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  double largest = 1, difference = 0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < actual.size(); ++i) difference = std::max(difference, std::abs(actual[i] - expected[i]));
  return difference / largest;
}

inline TttConfig published_config(const std::string& name) {
  TttConfig config;
  config.width = 32;
  config.heads = 2;
  config.base_learning_rate = 1.0;  // the reference used it for both types
  config.gate = config.share_query_key = name.find("mamba") != std::string::npos;
  return config;
}

/// The fast weights of all heads of one state, tensor after tensor as the cache names them.
template <class TttLayer>
std::vector<double> fast_weights(const TttLayer& layer, const std::vector<typename TttLayer::State>& states,
                                 std::size_t which) {
  std::vector<double> values;
  const auto list = layer.rule().fast_weights(layer.config().heads);
  Index offset = 0;
  for (std::size_t i = 0; i < which; ++i) offset += list[i].shape.size() / layer.config().heads;
  const Index size = list[which].shape.size() / layer.config().heads;
  for (const auto& state : states)
    for (Index head = 0; head < layer.config().heads; ++head) {
      const double* from = state.values.data() + head * layer.rule().state_size() + offset;
      values.insert(values.end(), from, from + size);
    }
  return values;
}

/// y, the fast weights after the last whole mini-batch, and every gradient of golden set `name`.
template <class TttLayer>
void check_layer(const std::string& name, double tolerance, double gradient_tolerance) {
  INFO(name);
  const auto golden = golden::load(name);
  const TttLayer layer(published_config(name));
  ParameterStore<typename TttLayer::Parameters> store(layer.make_parameters()), gradients(layer.make_parameters());
  golden::assign(store.views(), golden, "param.");
  const auto& x = golden.at("x");
  const Index batch = x.shape[0], tokens = x.shape[1], width = x.shape[2];

  std::vector<typename TttLayer::State> states(static_cast<std::size_t>(batch), layer.initial_state(store.views()));
  std::vector<Segment<typename TttLayer::State>> segments;
  for (auto& state : states) segments.push_back({tokens, &state, true});
  std::vector<double> y(x.values.size()), d_x(x.values.size());
  typename TttLayer::Record record;
  Context context;
  layer.forward(store.views(), {x.values.data(), batch * tokens, width}, segments, {y.data(), batch * tokens, width},
                context, &record);
  layer.backward(store.views(), record, {golden.at("dy").values.data(), batch * tokens, width},
                 {d_x.data(), batch * tokens, width}, gradients.views(), {}, context);

  CHECK(distance(y, golden.at("y").values) < tolerance);
  const auto list = layer.rule().fast_weights(layer.config().heads);
  for (std::size_t i = 0; i < list.size(); ++i) {
    INFO("state." << list[i].name);
    CHECK(distance(fast_weights(layer, states, i), golden.at("state." + std::string(list[i].name)).values) < tolerance);
  }
  CHECK(distance(d_x, golden.at("grad.x").values) < gradient_tolerance);
  gradients.views().visit([&](std::string_view parameter, Tensor<double>& tensor, const ParameterInfo&) {
    INFO("grad." << parameter);
    std::vector<double> values;
    for (Index i = 0; i < tensor.size(); ++i) values.push_back(tensor[i]);
    CHECK(distance(values, golden.at("grad." + std::string(parameter)).values) < gradient_tolerance);
  });
}

/// A prefill of 2K tokens, then single tokens: outputs and fast weights of the published cache.
template <class TttLayer>
void check_decode(const std::string& name, double tolerance) {
  INFO(name);
  const auto golden = golden::load(name);
  const TttLayer layer(published_config(name));
  ParameterStore<typename TttLayer::Parameters> store(layer.make_parameters());
  golden::assign(store.views(), golden, "param.");
  const auto& x = golden.at("x");
  const Index batch = x.shape[0], tokens = x.shape[1], width = x.shape[2];
  const auto prefill = static_cast<Index>(golden.at("prefill_len").values.at(0));
  REQUIRE(prefill > 0);
  REQUIRE(prefill < tokens);

  std::vector<typename TttLayer::State> states;
  std::vector<double> y(x.values.size());
  Context context;
  for (Index b = 0; b < batch; ++b) {
    auto state = layer.initial_state(store.views());
    for (Index first = 0; first < tokens; first = first == 0 ? prefill : first + 1) {
      const Index count = first == 0 ? prefill : 1, offset = (b * tokens + first) * width;
      const std::vector<Segment<typename TttLayer::State>> piece{{count, &state, false}};
      layer.forward(store.views(), {x.values.data() + offset, count, width}, piece, {y.data() + offset, count, width},
                    context);
    }
    CHECK(state.position == tokens);
    states.push_back(state);
  }
  CHECK(distance(y, golden.at("y").values) < tolerance);
  const auto list = layer.rule().fast_weights(layer.config().heads);
  for (std::size_t i = 0; i < list.size(); ++i)
    CHECK(distance(fast_weights(layer, states, i), golden.at("cache." + std::string(list[i].name) + "_states").values) <
          tolerance);
}

}  // namespace ttt::ttt_golden
