// SPDX-License-Identifier: MIT
/// @file
/// The formula of the TTT layers (Sun et al. 2024, sections 2 and 3) in plain loops: token by token, every W(r) spelled
/// out.
#pragma once

#include <numbers>

#include "layers/formula_parts.hpp"
#include "ttt/layers/ttt/parameters.hpp"

namespace ttt::ttt_formula {

using namespace formula_parts;

/// γ ∘ (z − mean) / √(variance + ε) + β, and what its backward needs.
struct Normed {
  Row y, hat;
  double inverse_deviation = 0;

  Normed(const Row& z, const double* weight, const double* bias, double epsilon) : y(z), hat(z) {
    const auto width = static_cast<double>(z.size());
    double mean = 0, variance = 0;
    for (const double value : z) mean += value / width;
    for (const double value : z) variance += (value - mean) * (value - mean) / width;
    inverse_deviation = 1 / std::sqrt(variance + epsilon);
    for (std::size_t c = 0; c < z.size(); ++c) hat[c] = (z[c] - mean) * inverse_deviation;
    for (std::size_t c = 0; c < z.size(); ++c) y[c] = weight[c] * hat[c] + bias[c];
  }

  /// ∂/∂z of ½‖y − target‖².
  Row loss_gradient(const Row& target, const double* weight) const {
    const auto width = static_cast<double>(y.size());
    Row d(y);
    double mean = 0, along = 0;
    for (std::size_t c = 0; c < d.size(); ++c) {
      d[c] = (y[c] - target[c]) * weight[c];
      mean += d[c] / width, along += d[c] * hat[c] / width;
    }
    for (std::size_t c = 0; c < d.size(); ++c) d[c] = (d[c] - mean - hat[c] * along) * inverse_deviation;
    return d;
  }
};

inline double gelu_tanh(double x) { return std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)); }
inline double gelu(double x) { return 0.5 * x * (1 + gelu_tanh(x)); }
inline double gelu_slope(double x) {
  const double tanh = gelu_tanh(x), inner = std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
  return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * inner;
}

/// x W + b of a head, W [in × out].
struct Map {
  Row weight, bias;

  Map(const NamedWeights& p, const std::string& number, Index head, const TttConfig& config) {
    const auto of_head = [&](const std::string& name) {
      const NamedWeight& all = p[name + number];
      const auto size = all.shape.size() / config.heads;
      return Row(all.values.begin() + head * size, all.values.begin() + (head + 1) * size);
    };
    bias = of_head("b");
    if (config.initial_rank == 0) {
      weight = of_head("W");
      return;
    }
    const Index rank = config.initial_rank, outputs = p["W" + number + ".right"].columns();
    const Index inputs = p["W" + number + ".left"].shape[1];
    const NamedWeight &left = p["W" + number + ".left"], &right = p["W" + number + ".right"];
    for (Index i = 0; i < inputs; ++i)
      for (Index o = 0; o < outputs; ++o) {
        weight.push_back(i == o ? config.initial_identity : 0);
        for (Index r = 0; r < rank; ++r) weight.back() += left(head * inputs + i, r) * right(head * rank + r, o);
      }
  }
  Row operator()(const Row& x) const {
    Row y = bias;
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t o = 0; o < y.size(); ++o) y[o] += x[i] * weight[i * y.size() + o];
    return y;
  }
  /// += factor · (xᵀ g, g).
  void add(double factor, const Row& x, const Row& g) {
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t o = 0; o < g.size(); ++o) weight[i * g.size() + o] += factor * x[i] * g[o];
    for (std::size_t o = 0; o < g.size(); ++o) bias[o] += factor * g[o];
  }
  void add(double factor, const Map& other) {
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] += factor * other.weight[i];
    for (std::size_t o = 0; o < bias.size(); ++o) bias[o] += factor * other.bias[o];
  }
};

/// The inner model of one head: one map, or two with a GELU between.
struct Head {
  std::vector<Map> start, sum, now;
  const double *norm_weight, *norm_bias;
  double epsilon;

  Head(const NamedWeights& p, Index head, const TttConfig& config)
      : norm_weight(p["ttt_norm_weight"].values.data() + head * p["ttt_norm_weight"].columns()),
        norm_bias(p["ttt_norm_bias"].values.data() + head * p["ttt_norm_bias"].columns()),
        epsilon(config.norm_epsilon) {
    for (const char* i : {"1", "2"})
      if (p.has(std::string("b") + i)) now.emplace_back(p, i, head, config);
  }

  void begin_mini_batch() {
    start = sum = now;
    for (Map& map : sum) map.add(-1, Map(map));
  }
  /// W(r) = W − τ Σ η ∇, the gradients all at W.
  void learn(const Row& key, const Row& value, double rate, double factor) {
    Row target(value), hidden = start[0](key), active(hidden);
    for (std::size_t c = 0; c < target.size(); ++c) target[c] -= key[c];
    for (double& x : active) x = gelu(x);
    const bool deep = start.size() > 1;
    const Row z = deep ? start[1](active) : hidden;
    const Row g = Normed(z, norm_weight, norm_bias, epsilon).loss_gradient(target, norm_weight);
    if (deep) {
      for (std::size_t i = 0; i < hidden.size(); ++i) {
        double back = 0;
        for (std::size_t o = 0; o < g.size(); ++o) back += start[1].weight[i * g.size() + o] * g[o];
        hidden[i] = gelu_slope(hidden[i]) * back;
      }
      sum[1].add(rate, active, g);
    }
    sum[0].add(rate, key, deep ? hidden : g);
    now = start;
    for (std::size_t i = 0; i < now.size(); ++i) now[i].add(-factor, sum[i]);
  }
  /// q + LN(z(q)), with the weights after the token that was learned last or those of its mini-batch's start.
  Row answer(const Row& query, rules::TttOrder order) const {
    const auto& maps = order == rules::TttOrder::token_inclusive ? now : start;
    Row z = maps[0](query);
    if (maps.size() > 1) {
      for (double& x : z) x = gelu(x);
      z = maps[1](z);
    }
    Row out = Normed(z, norm_weight, norm_bias, epsilon).y;
    for (std::size_t c = 0; c < out.size(); ++c) out[c] += query[c];
    return out;
  }
};

/// Turns the pairs (2j, 2j + 1) of a head by position · θ^(−2j / D).
inline Row rotated(const Row& row, Index head, Index width, Index position, double theta) {
  Row turned(row.begin() + head * width, row.begin() + (head + 1) * width);
  for (std::size_t j = 0; j + 1 < turned.size(); j += 2) {
    const double angle =
        static_cast<double>(position) * std::pow(theta, -static_cast<double>(j) / static_cast<double>(width));
    const double a = turned[j], b = turned[j + 1];
    turned[j] = a * std::cos(angle) - b * std::sin(angle), turned[j + 1] = a * std::sin(angle) + b * std::cos(angle);
  }
  return turned;
}

/// The whole layer; `base` is the learning rate of the inner loop.
inline Matrix<double> formula(const TttConfig& config, double base, const NamedWeights& p, const Matrix<double>& x) {
  const Index K = config.mini_batch, D = config.width / config.heads;
  std::vector<Head> heads;
  for (Index h = 0; h < config.heads; ++h) heads.emplace_back(p, h, config);
  std::vector<Row> shared;
  Matrix<double> y(x.rows(), config.width);
  for (Index t = 0; t < x.rows(); ++t) {
    const Row token = row_of(x, t), value = map(p["v_proj.weight"], token);
    const bool predicts = config.order == rules::TttOrder::simplified;
    if (!predicts) shared.push_back(map(p["q_proj.weight"], token));
    const Row k = config.share_query_key ? convolved(p, "conv_k.", shared) : map(p["k_proj.weight"], token);
    const Row q = predicts ? k : config.share_query_key ? convolved(p, "conv_q.", shared) : shared.back();
    const Row logits = map(p["learnable_ttt_lr_weight"], token);
    const double factor = std::max(0.0, 1 / static_cast<double>(t % K + 1) + p["learnable_token_idx"](0, t % K));
    Row z;
    for (Index h = 0; h < config.heads; ++h) {
      Head& head = heads[static_cast<std::size_t>(h)];
      if (t % K == 0) head.begin_mini_batch();
      const double rate = base / static_cast<double>(D) *
                          sigmoid(logits[static_cast<std::size_t>(h)] + p["learnable_ttt_lr_bias"](h, 0));
      head.learn(rotated(k, h, D, t % K, config.rope_theta), Row(value.begin() + h * D, value.begin() + (h + 1) * D),
                 rate, factor);
      const Row out = head.answer(rotated(q, h, D, t % K, config.rope_theta), config.order);
      z.insert(z.end(), out.begin(), out.end());
    }
    z = Normed(z, p["post_norm.weight"].values.data(), p["post_norm.bias"].values.data(), config.norm_epsilon).y;
    const Row gate = config.gate ? map(p["g_proj.weight"], token) : z;
    for (std::size_t c = 0; c < z.size() && config.gate; ++c) z[c] *= gelu(gate[c]);
    assign(map(p["o_proj.weight"], z), y, t);
  }
  return y;
}

}  // namespace ttt::ttt_formula
