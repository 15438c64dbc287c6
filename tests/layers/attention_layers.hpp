// SPDX-License-Identifier: MIT
/// @file
/// What the tests of attention share: small layers, their runs and their formula.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "layers/formula_parts.hpp"
#include "suites/sequence_layer.hpp"
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

/// The formula of attention in plain loops, for the suite of layers.
class AttentionFormula {
 public:
  explicit AttentionFormula(const AttentionConfig& config) : config_(config) {}

  Matrix<double> operator()(const suites::NamedWeights& p, const Matrix<double>& x) const {
    const Index width = config_.head_width(), group = config_.heads / config_.key_value_count();
    auto queries = projected(p, "q_proj", x), keys = projected(p, "k_proj", x);
    const auto values = projected(p, "v_proj", x);
    const Matrix<double> gates = config_.output_gate ? every_second_head(queries, width) : Matrix<double>(0, 0);
    if (config_.output_gate) queries = every_second_head(queries, 0);
    if (config_.query_key_norm) norm(p["q_norm.weight"], queries), norm(p["k_norm.weight"], keys);
    if (config_.rotary) rotate(queries), rotate(keys);
    if (config_.score_scale != 0)  // the reference has its own
      for (Index t = 0; t < x.rows(); ++t)
        for (Index c = 0; c < config_.query_width(); ++c)
          queries(t, c) *= config_.score_scale * std::sqrt(static_cast<double>(width));
    Matrix<double> heads(x.rows(), config_.query_width());
    const auto columns = [&](const Matrix<double>& m, Index head) { return m.view().columns(head * width, width); };
    for (Index head = 0; head < config_.heads; ++head)
      reference::attention<double>(columns(queries, head), columns(keys, head / group), columns(values, head / group),
                                   config_.window == 0 ? x.rows() : config_.window, config_.sinks,
                                   heads.view().columns(head * width, width));
    for (Index t = 0; config_.output_gate && t < x.rows(); ++t)
      for (Index c = 0; c < config_.query_width(); ++c) heads(t, c) /= 1 + std::exp(-gates(t, c));
    return projected(p, "o_proj", heads);
  }
  /// x Wᵀ + b of every row.
  static Matrix<double> projected(const suites::NamedWeights& p, const std::string& name, const Matrix<double>& x) {
    const auto& weight = p[name + ".weight"];
    Matrix<double> y(x.rows(), weight.rows());
    for (Index t = 0; t < x.rows(); ++t) {
      auto row = formula_parts::map(weight, formula_parts::row_of(x, t));
      for (std::size_t c = 0; p.has(name + ".bias") && c < row.size(); ++c)
        row[c] += p[name + ".bias"](0, static_cast<Index>(c));
      formula_parts::assign(row, y, t);
    }
    return y;
  }

 private:
  /// Of what has queries and gates in turn, those that begin at this column.
  Matrix<double> every_second_head(const Matrix<double>& both, Index first) const {
    const Index width = config_.head_width();
    Matrix<double> heads(both.rows(), config_.query_width());
    for (Index t = 0; t < both.rows(); ++t)
      for (Index c = 0; c < heads.columns(); ++c) heads(t, c) = both(t, c / width * 2 * width + first + c % width);
    return heads;
  }
  /// RMS norm of every head, or of all at once where the weight has them all.
  void norm(const suites::NamedWeight& weight, Matrix<double>& x) const {
    const Index width = weight.columns();
    for (Index t = 0; t < x.rows(); ++t)
      for (Index head = 0; head < x.columns(); head += width) {
        double sum = 0;
        for (Index d = 0; d < width; ++d) sum += x(t, head + d) * x(t, head + d);
        const double root = std::sqrt(sum / static_cast<double>(width) + config_.norm_epsilon);
        for (Index d = 0; d < width; ++d) x(t, head + d) *= (weight(0, d) + (config_.one_plus_norm ? 1 : 0)) / root;
      }
  }
  /// Rotary embedding of halves.
  void rotate(Matrix<double>& x) const {
    const Index turned = config_.rotary_width();
    const auto frequencies = kernels::rotary_frequencies(turned, config_.rope_theta, config_.rotary_scaling);
    for (Index t = 0; t < x.rows(); ++t)
      for (Index head = 0; head < x.columns(); head += config_.head_width())
        for (Index j = 0; j < turned / 2; ++j) {
          const double angle = static_cast<double>(t) * frequencies.values[j];
          const double cosine = frequencies.magnitude * std::cos(angle), sine = frequencies.magnitude * std::sin(angle);
          double &a = x(t, head + j), &b = x(t, head + j + turned / 2);
          const double first = a * cosine - b * sine, second = b * cosine + a * sine;
          a = first, b = second;
        }
  }

  AttentionConfig config_;
};

/// What the formula makes of a layer's weights.
inline Matrix<double> expected(const Layer<Attention<double>>& layer, const Matrix<double>& x) {
  return AttentionFormula(layer.definition().config())(suites::NamedWeights(layer.parameters()), x);
}

/// The suite of layers, with the formula.
template <class Scalar>
void check_attention(const AttentionConfig& config) {
  suites::check_sequence_layer(
      Attention<Scalar>(config),
      {.mini_batch = 5, .state_grows = config.memory == AttentionMemory::growing, .formula = AttentionFormula(config)});
}

}  // namespace ttt::testing
