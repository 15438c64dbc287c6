// SPDX-License-Identifier: MIT
/// @file
/// What the tests of attention share: small layers, their runs and their formula.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "support/compare.hpp"
#include "support/compiled_layers.hpp"
#include "support/random_matrix.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/rules/attention/reference.hpp"

namespace ttt::testing {

/// C = 24, H = 4, D = 6.
inline AttentionConfig small_attention(Index key_value_heads) {
  AttentionConfig config;
  config.width = 24;
  config.heads = 4;
  config.key_value_heads = key_value_heads;
  return config;
}

inline AttentionConfig with_window(AttentionConfig config, Index window, Index sinks = 0,
                                   AttentionMemory memory = AttentionMemory::ring) {
  config.window = window;
  config.sinks = sinks;
  config.memory = memory;
  return config;
}

/// Weights of order one, so that the softmax is far from uniform.
template <class Scalar>
Layer<Attention<Scalar>> sharp_layer(const AttentionConfig& config) {
  Layer<Attention<Scalar>> layer(config, 3);
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
      (*norm)[i] = static_cast<Scalar>((config.one_plus_norm ? 0 : 1) + random.normal(next++) / 2);
  return layer;
}

/// Outputs of x in pieces of the given lengths, from a fresh state of the right capacity.
template <class Scalar>
Matrix<Scalar> read(const Layer<Attention<Scalar>>& layer, const Matrix<Scalar>& x, const std::vector<Index>& lengths,
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

/// RMS norm of every head, or of all at once where the weight has them all, written as the formula.
template <class Scalar>
void norm(Matrix<Scalar>& x, const Tensor<Scalar>& weight, double epsilon, double plus) {
  const Index width = weight.size();
  for (Index t = 0; t < x.rows(); ++t)
    for (Index head = 0; head < x.columns(); head += width) {
      double sum = 0;
      for (Index d = 0; d < width; ++d) sum += x(t, head + d) * x(t, head + d);
      for (Index d = 0; d < width; ++d)
        x(t, head + d) *= (weight[d] + plus) / std::sqrt(sum / static_cast<double>(width) + epsilon);
    }
}

/// Rotary embedding of halves, written as the formula.
template <class Scalar>
void rotate(Matrix<Scalar>& x, const AttentionConfig& config) {
  const Index head_width = config.head_width(), turned = config.rotary_width();
  const auto frequencies = kernels::rotary_frequencies(turned, config.rope_theta, config.rotary_scaling);
  for (Index t = 0; t < x.rows(); ++t)
    for (Index head = 0; head < x.columns(); head += head_width)
      for (Index j = 0; j < turned / 2; ++j) {
        const double angle = static_cast<double>(t) * frequencies.values[j];
        const double cosine = frequencies.magnitude * std::cos(angle), sine = frequencies.magnitude * std::sin(angle);
        Scalar &a = x(t, head + j), &b = x(t, head + j + turned / 2);
        const double first = a * cosine - b * sine, second = b * cosine + a * sine;
        a = static_cast<Scalar>(first);
        b = static_cast<Scalar>(second);
      }
}

/// The whole layer from its formula.
template <class Scalar>
Matrix<Scalar> expected(const Layer<Attention<Scalar>>& layer, const Matrix<Scalar>& x) {
  const AttentionConfig& config = layer.definition().config();
  const Index width = config.head_width(), group = config.heads / config.key_value_count();
  const auto& weights = layer.parameters();
  auto queries = times_weight(x, weights.query), keys = times_weight(x, weights.key),
       values = times_weight(x, weights.value);
  if (config.bias) add_bias(queries, weights.query_bias);
  if (config.bias) add_bias(keys, weights.key_bias);
  if (config.bias) add_bias(values, weights.value_bias);
  Matrix<Scalar> gates(x.rows(), config.query_width());
  if (config.output_gate) {
    const auto projected = queries;
    queries = gates;
    for (Index t = 0; t < x.rows(); ++t)
      for (Index c = 0; c < config.query_width(); ++c) {
        queries(t, c) = projected(t, c / width * 2 * width + c % width);
        gates(t, c) = projected(t, c / width * 2 * width + width + c % width);
      }
  }
  const double plus = config.one_plus_norm ? 1 : 0;
  if (config.query_key_norm) norm(queries, weights.query_norm, config.norm_epsilon, plus);
  if (config.query_key_norm) norm(keys, weights.key_norm, config.norm_epsilon, plus);
  if (config.rotary) rotate(queries, config);
  if (config.rotary) rotate(keys, config);
  if (config.score_scale != 0)  // the reference has its own
    for (Index t = 0; t < x.rows(); ++t)
      for (Index c = 0; c < config.query_width(); ++c)
        queries(t, c) *= config.score_scale * std::sqrt(static_cast<double>(width));
  Matrix<Scalar> heads(x.rows(), config.query_width());
  const auto columns = [&](const Matrix<Scalar>& m, Index head) { return m.view().columns(head * width, width); };
  for (Index head = 0; head < config.heads; ++head)
    reference::attention<Scalar>(columns(queries, head), columns(keys, head / group), columns(values, head / group),
                                 config.window == 0 ? x.rows() : config.window, config.sinks,
                                 heads.view().columns(head * width, width));
  for (Index t = 0; config.output_gate && t < x.rows(); ++t)
    for (Index c = 0; c < config.query_width(); ++c) heads(t, c) /= 1 + std::exp(-gates(t, c));
  return times_weight(heads, weights.output);
}

}  // namespace ttt::testing
