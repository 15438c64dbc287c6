// SPDX-License-Identifier: MIT
#include "ttt/layers/gated_delta_net.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "layers/recurrent_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;
using recurrent_tests::names_of;

namespace {

constexpr Index width = 7;

GatedDeltaNetConfig grouped() {
  return {.width = width, .heads = 2, .value_heads = 4, .key_width = 3, .value_width = 5, .conv_taps = 3};
}
GatedDeltaNetConfig plain() {
  return {.width = width,
          .heads = 2,
          .value_heads = 2,
          .key_width = 4,
          .value_width = 3,
          .conv_taps = 1,
          .decay = false,
          .gate = false,
          .negative_eigenvalues = true};
}

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(const GatedDeltaNetConfig& config, const NamedWeights& p, const Matrix<double>& x) {
  const auto keys = static_cast<std::size_t>(config.heads * config.key_width),
             K = static_cast<std::size_t>(config.key_width);
  const auto V = static_cast<std::size_t>(config.value_width), heads = static_cast<std::size_t>(config.value_heads);
  const std::size_t group = heads / static_cast<std::size_t>(config.heads);
  std::vector<Row> projected, S(heads, Row(K * V));
  Matrix<double> y(x.rows(), config.width);
  for (Index t = 0; t < x.rows(); ++t) {
    const Row token = row_of(x, t);
    projected.push_back(map(p["in_proj_qkv.weight"], token));
    const Row mixed = silu(convolved(p, "conv1d.", projected)), b = map(p["in_proj_b.weight"], token);
    const Row a = config.decay ? map(p["in_proj_a.weight"], token) : b;
    const Row z = config.gate ? map(p["in_proj_z.weight"], token) : mixed;
    Row out(heads * V);
    for (std::size_t h = 0; h < heads; ++h) {
      const double *const q = &mixed[h / group * K], *const k = &mixed[keys + h / group * K];
      const double* const v = &mixed[2 * keys + h * V];
      double q_norm = 1e-6, k_norm = 1e-6, squares = 0;
      for (std::size_t i = 0; i < K; ++i) q_norm += q[i] * q[i], k_norm += k[i] * k[i];
      const double beta = (config.negative_eigenvalues ? 2 : 1) * sigmoid(b[h]);
      const auto head = static_cast<Index>(h);
      const double kept =
          config.decay ? std::exp(-std::exp(p["A_log"](0, head)) * std::log1p(std::exp(a[h] + p["dt_bias"](0, head))))
                       : 1;
      for (std::size_t j = 0; j < V; ++j) {
        double answer = 0, o = 0;
        for (std::size_t i = 0; i < K; ++i) answer += (S[h][i * V + j] *= kept) * k[i] / std::sqrt(k_norm);
        for (std::size_t i = 0; i < K; ++i) {
          S[h][i * V + j] += beta * (v[j] - answer) * k[i] / std::sqrt(k_norm);
          o += S[h][i * V + j] * q[i] / std::sqrt(q_norm * static_cast<double>(K));
        }
        out[h * V + j] = o;
        squares += o * o;
      }
      for (std::size_t j = 0; j < V; ++j)
        out[h * V + j] *= p["norm.weight"](0, static_cast<Index>(j)) /
                          std::sqrt(squares / static_cast<double>(V) + config.norm_epsilon) *
                          (config.gate ? silu(z[h * V + j]) : 1);
    }
    assign(map(p["out_proj.weight"], out), y, t);
  }
  return y;
}

template <class Scalar>
void check(const GatedDeltaNetConfig& config, Index mini_batch) {
  recurrent_tests::check_with_formula<GatedDeltaNet<Scalar>>(config, mini_batch, formula);
}

}  // namespace

TEST_CASE("Gated DeltaNet is a sequence layer, with grouped heads and as DeltaNet") {
  check<double>(grouped(), 4);
  check<float>(grouped(), 4);
  check<double>(plain(), 3);
}

TEST_CASE("Gated DeltaNet names its parameters as qwen3_5 does, and only those it has") {
  CHECK(names_of(GatedDeltaNet<float>(grouped())) ==
        std::vector<std::string>{"in_proj_qkv.weight", "conv1d.weight", "in_proj_z.weight", "in_proj_b.weight",
                                 "in_proj_a.weight", "A_log", "dt_bias", "norm.weight", "out_proj.weight"});
  CHECK(names_of(GatedDeltaNet<float>(plain())) == std::vector<std::string>{"in_proj_qkv.weight", "conv1d.weight",
                                                                            "in_proj_b.weight", "norm.weight",
                                                                            "out_proj.weight"});
}

TEST_CASE("A Gated DeltaNet that cannot be is refused by name") {
  recurrent_tests::check_delta_refusals<GatedDeltaNet<float>>(grouped());
  const GatedDeltaNetConfig usual{.width = 12, .heads = 3, .value_heads = 3, .key_width = 4, .value_width = 4};
  CHECK(GatedDeltaNet<float>({.width = 12, .heads = 3}).config() == usual);
}
