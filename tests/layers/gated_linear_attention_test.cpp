// SPDX-License-Identifier: MIT
#include "ttt/layers/gated_linear_attention.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "layers/recurrent_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;
using recurrent_tests::names_of;

namespace {

GatedLinearAttentionConfig usual() {
  return {.width = 7, .heads = 2, .key_width = 3, .value_width = 5, .decay_rank = 2};
}
/// With every option that is not usual; strong decays.
GatedLinearAttentionConfig convolved_keys() {
  return {.width = 6,
          .heads = 3,
          .conv_taps = 3,
          .feature_map = kernels::Activation::silu,
          .decay_rank = 3,
          .decay_divisor = 0.5,
          .gate = false};
}
GatedLinearAttentionConfig linear() {
  return {.width = 6, .heads = 2, .feature_map = kernels::Activation::elu_plus_one, .decay = false, .gate = false};
}

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(GatedLinearAttentionConfig config, const NamedWeights& p, const Matrix<double>& x) {
  config.resolve();
  const auto K = static_cast<std::size_t>(config.key_width), V = static_cast<std::size_t>(config.value_width);
  const auto heads = static_cast<std::size_t>(config.heads);
  const NamedWeight& w = p[config.gate ? "g_norm_swish_gate.weight" : config.decay ? "g_norm.weight" : "norm.weight"];
  const auto feature = [&](double value) {
    if (config.feature_map == kernels::Activation::silu) return silu(value);
    if (config.feature_map == kernels::Activation::elu_plus_one) return value > 0 ? value + 1 : std::exp(value);
    return value;
  };
  std::vector<Row> to_q, to_k, to_v, S(heads, Row(K * V));
  Matrix<double> y(x.rows(), config.width);
  for (Index t = 0; t < x.rows(); ++t) {
    const Row token = row_of(x, t);
    const auto stream = [&](const std::string& letter, std::vector<Row>& before) {
      before.push_back(map(p[letter + "_proj.weight"], token));
      return config.conv_taps > 0 ? silu(convolved(p, letter + "_conv1d.", before)) : before.back();
    };
    const Row q = stream("q", to_q), k = stream("k", to_k), v = stream("v", to_v);
    const Row a = config.decay ? map(p["gk_proj.1.weight"], map(p["gk_proj.0.weight"], token)) : q;
    const Row z = config.gate ? map(p["g_proj.weight"], token) : v;
    Row out(heads * V);
    for (std::size_t h = 0; h < heads; ++h) {
      double squares = 0;
      for (std::size_t j = 0; j < V; ++j) {
        double o = 0;
        for (std::size_t i = 0; i < K; ++i) {
          const std::size_t row = h * K + i;
          if (config.decay)
            S[h][i * V + j] *=
                std::pow(sigmoid(a[row] + p["gk_proj.1.bias"](0, static_cast<Index>(row))), 1 / config.decay_divisor);
          S[h][i * V + j] += feature(k[row]) * v[h * V + j];
          o += S[h][i * V + j] * feature(q[row]) / std::sqrt(static_cast<double>(K));
        }
        out[h * V + j] = o;
        squares += o * o;
      }
      for (std::size_t j = 0; j < V; ++j)
        out[h * V + j] *= w(0, static_cast<Index>(j)) /
                          std::sqrt(squares / static_cast<double>(V) + config.norm_epsilon) *
                          (config.gate ? silu(z[h * V + j]) : 1);
    }
    assign(map(p["o_proj.weight"], out), y, t);
  }
  return y;
}

template <class Scalar>
void check(const GatedLinearAttentionConfig& config, Index mini_batch) {
  recurrent_tests::check_with_formula<GatedLinearAttention<Scalar>>(config, mini_batch, formula);
}

}  // namespace

TEST_CASE("gated linear attention is a sequence layer, with all of its options") {
  check<double>(usual(), 4);
  check<float>(usual(), 4);
  check<double>(convolved_keys(), 3);
}

TEST_CASE("linear attention is a sequence layer") {
  check<double>(linear(), 4);
  check<float>(linear(), 4);
}

TEST_CASE("gated linear attention names its parameters as published, and only those it has") {
  CHECK(names_of(GatedLinearAttention<float>(usual())) ==
        std::vector<std::string>{"q_proj.weight", "k_proj.weight", "v_proj.weight", "g_proj.weight", "gk_proj.0.weight",
                                 "gk_proj.1.weight", "gk_proj.1.bias", "g_norm_swish_gate.weight", "o_proj.weight"});
  CHECK(names_of(GatedLinearAttention<float>(convolved_keys())) ==
        std::vector<std::string>{"q_proj.weight", "k_proj.weight", "v_proj.weight", "q_conv1d.weight",
                                 "k_conv1d.weight", "v_conv1d.weight", "gk_proj.0.weight", "gk_proj.1.weight",
                                 "gk_proj.1.bias", "g_norm.weight", "o_proj.weight"});
  CHECK(names_of(GatedLinearAttention<float>(linear())) ==
        std::vector<std::string>{"q_proj.weight", "k_proj.weight", "v_proj.weight", "norm.weight", "o_proj.weight"});
}

TEST_CASE("A gated linear attention that cannot be is refused by name") {
  const auto refusal = [](auto change) {
    return recurrent_tests::refusal<GatedLinearAttention<float>>(usual(), change);
  };
  const std::string option = "gated linear attention option ";
  CHECK(refusal([](auto&) {}) == "");
  const auto widths = [](bool decay) {
    const auto config = GatedLinearAttention<float>({.width = 24, .heads = 3, .decay = decay}).config();
    return std::vector<Index>{config.key_width, config.value_width};
  };
  CHECK(widths(true) == std::vector<Index>{4, 8});
  CHECK(widths(false) == std::vector<Index>{8, 8});
  CHECK(refusal([](auto& c) { c.width = 0; }) == option + "width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.heads = 0; }) == option + "heads: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.heads = 4, c.key_width = 0; }) == option + "key_width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.value_width = -1; }) == option + "value_width: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.conv_taps = -1; }) == option + "conv_taps: expected at least 0, found -1");
  CHECK(refusal([](auto& c) { c.decay_rank = 0; }) == option + "decay_rank: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.decay_divisor = 0; }).starts_with(option + "decay_divisor: expected"));
  CHECK(refusal([](auto& c) { c.norm_epsilon = 0; }).starts_with(option + "norm_epsilon: expected"));
}
