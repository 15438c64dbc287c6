// SPDX-License-Identifier: MIT
#include "ttt/layers/kimi_delta_attention.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "layers/recurrent_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;
using recurrent_tests::names_of;

namespace {

KimiDeltaAttentionConfig grouped() {
  return {.width = 7, .heads = 2, .value_heads = 4, .key_width = 3, .value_width = 5, .conv_taps = 3, .rank = 2};
}
KimiDeltaAttentionConfig negative() { return {.width = 6, .heads = 2, .conv_taps = 1, .negative_eigenvalues = true}; }

/// x → (x Aᵀ) Bᵀ of one token.
Row low_rank(const NamedWeights& p, const std::string& name, const Row& x) {
  return map(p[name + "1.weight"], map(p[name + "0.weight"], x));
}

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(KimiDeltaAttentionConfig config, const NamedWeights& p, const Matrix<double>& x) {
  config.resolve();
  const auto K = static_cast<std::size_t>(config.key_width), V = static_cast<std::size_t>(config.value_width);
  const auto heads = static_cast<std::size_t>(config.value_heads),
             group = heads / static_cast<std::size_t>(config.heads);
  std::vector<Row> to_q, to_k, to_v, S(heads, Row(K * V));
  Matrix<double> y(x.rows(), config.width);
  for (Index t = 0; t < x.rows(); ++t) {
    const Row token = row_of(x, t);
    to_q.push_back(map(p["q_proj.weight"], token));
    to_k.push_back(map(p["k_proj.weight"], token));
    to_v.push_back(map(p["v_proj.weight"], token));
    const Row all_q = silu(convolved(p, "q_conv1d.", to_q)), all_k = silu(convolved(p, "k_conv1d.", to_k));
    const Row all_v = silu(convolved(p, "v_conv1d.", to_v)), b = map(p["b_proj.weight"], token);
    const Row a = low_rank(p, "f_proj.", token), z = low_rank(p, "g_proj.", token);
    Row out(heads * V);
    for (std::size_t h = 0; h < heads; ++h) {
      const double *const q = &all_q[h / group * K], *const k = &all_k[h / group * K], *const v = &all_v[h * V];
      double q_norm = 1e-6, k_norm = 1e-6, squares = 0;
      for (std::size_t i = 0; i < K; ++i) q_norm += q[i] * q[i], k_norm += k[i] * k[i];
      const double beta = (config.negative_eigenvalues ? 2 : 1) * sigmoid(b[h]);
      const double rate = std::exp(p["A_log"](0, static_cast<Index>(h)));
      for (std::size_t j = 0; j < V; ++j) {
        double answer = 0, o = 0;
        for (std::size_t i = 0; i < K; ++i) {
          const std::size_t row = h * K + i;
          const double step = std::log1p(std::exp(a[row] + p["dt_bias"](0, static_cast<Index>(row))));
          answer += (S[h][i * V + j] *= std::exp(-rate * step)) * k[i] / std::sqrt(k_norm);
        }
        for (std::size_t i = 0; i < K; ++i) {
          S[h][i * V + j] += beta * (v[j] - answer) * k[i] / std::sqrt(k_norm);
          o += S[h][i * V + j] * q[i] / std::sqrt(q_norm * static_cast<double>(K));
        }
        out[h * V + j] = o;
        squares += o * o;
      }
      for (std::size_t j = 0; j < V; ++j)
        out[h * V + j] *= p["o_norm.weight"](0, static_cast<Index>(j)) /
                          std::sqrt(squares / static_cast<double>(V) + config.norm_epsilon) *
                          sigmoid(z[h * V + j] + p["g_proj.1.bias"](0, static_cast<Index>(h * V + j)));
    }
    assign(map(p["o_proj.weight"], out), y, t);
  }
  return y;
}

template <class Scalar>
void check(const KimiDeltaAttentionConfig& config, Index mini_batch) {
  recurrent_tests::check_with_formula<KimiDeltaAttention<Scalar>>(config, mini_batch, formula);
}

}  // namespace

TEST_CASE("Kimi Delta Attention is a sequence layer, with grouped heads and negative eigenvalues") {
  check<double>(grouped(), 4);
  check<float>(grouped(), 4);
  check<double>(negative(), 3);
}

TEST_CASE("Kimi Delta Attention names its parameters as published") {
  CHECK(names_of(KimiDeltaAttention<float>(grouped())) ==
        std::vector<std::string>{"q_proj.weight", "k_proj.weight", "v_proj.weight", "q_conv1d.weight",
                                 "k_conv1d.weight", "v_conv1d.weight", "g_proj.0.weight", "g_proj.1.weight",
                                 "g_proj.1.bias", "b_proj.weight", "f_proj.0.weight", "f_proj.1.weight", "A_log",
                                 "dt_bias", "o_norm.weight", "o_proj.weight"});
}

TEST_CASE("A Kimi Delta Attention that cannot be is refused by name") {
  recurrent_tests::check_delta_refusals<KimiDeltaAttention<float>>(grouped());
  CHECK(recurrent_tests::refusal<KimiDeltaAttention<float>>(grouped(), [](auto& c) { c.rank = -1; }) ==
        "Kimi Delta Attention option rank: expected at least 1, found -1");
  const KimiDeltaAttentionConfig usual{
      .width = 12, .heads = 3, .value_heads = 3, .key_width = 4, .value_width = 4, .rank = 4};
  CHECK(KimiDeltaAttention<float>({.width = 12, .heads = 3}).config() == usual);
}
