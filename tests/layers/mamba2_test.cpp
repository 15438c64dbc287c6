// SPDX-License-Identifier: MIT
#include "ttt/layers/mamba2.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "layers/recurrent_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;
using recurrent_tests::names_of;

namespace {

constexpr Index width = 7;

Mamba2Config grouped() {
  return {.width = width, .heads = 4, .head_width = 3, .groups = 2, .state_width = 5, .conv_taps = 3};
}
Mamba2Config clamped() {
  return {.width = width,
          .heads = 2,
          .head_width = 4,
          .state_width = 3,
          .conv_taps = 2,
          .smallest_step = 0.3,
          .largest_step = 1};
}

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(const Mamba2Config& config, const NamedWeights& p, const Matrix<double>& x) {
  const auto inner = static_cast<std::size_t>(config.inner_width()), K = static_cast<std::size_t>(config.state_width);
  const auto V = static_cast<std::size_t>(config.head_width), heads = static_cast<std::size_t>(config.heads);
  const auto groups = static_cast<std::size_t>(config.groups),
             mixed_width = static_cast<std::size_t>(config.mixed_width());
  std::vector<Row> projected, S(heads, Row(K * V));
  Matrix<double> y(x.rows(), config.width);
  for (Index t = 0; t < x.rows(); ++t) {
    projected.push_back(map(p["in_proj.weight"], row_of(x, t)));
    const Row mixed = silu(convolved(p, "conv1d.", projected, inner));
    Row n(inner);
    for (std::size_t h = 0; h < heads; ++h) {
      const auto head = static_cast<Index>(h);
      const double* const B = &mixed[inner + h / (heads / groups) * K];
      const double *const C = B + groups * K, *const u = &mixed[h * V];
      const double step =
          std::clamp(std::log1p(std::exp(projected.back()[inner + mixed_width + h] + p["dt_bias"](0, head))),
                     config.smallest_step, config.largest_step);
      const double kept = std::exp(-std::exp(p["A_log"](0, head)) * step);
      for (std::size_t j = 0; j < V; ++j) {
        double o = p["D"](0, head) * u[j];
        for (std::size_t i = 0; i < K; ++i) o += (S[h][i * V + j] = kept * S[h][i * V + j] + step * B[i] * u[j]) * C[i];
        n[h * V + j] = o * silu(projected.back()[h * V + j]);
      }
    }
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t size = inner / groups;
      double squares = 0;
      for (std::size_t c = 0; c < size; ++c) squares += n[g * size + c] * n[g * size + c];
      for (std::size_t c = 0; c < size; ++c)
        n[g * size + c] *= p["norm.weight"](0, static_cast<Index>(g * size + c)) /
                           std::sqrt(squares / static_cast<double>(size) + config.norm_epsilon);
    }
    assign(map(p["out_proj.weight"], n), y, t);
  }
  return y;
}

suites::LayerCase options(const Mamba2Config& config) {
  return {.mini_batch = 4, .one_form = false, .spread = 0.3, .formula = std::bind_front(formula, config)};
}

template <class Scalar>
void check(const Mamba2Config& config) {
  suites::check_sequence_layer(Mamba2<Scalar>(config), options(config));
}

}  // namespace

TEST_CASE("Mamba-2 is a sequence layer, with groups of heads") {
  check<double>(grouped());
  check<float>(grouped());
  check<float>(clamped());
  // Differences are of no use where steps are clamped.
  suites::require(suites::SequenceLayerSuite(Mamba2<double>(clamped()), options(clamped())).formula());
}

TEST_CASE("Mamba-2 names its parameters as published") {
  CHECK(names_of(Mamba2<float>(grouped())) == std::vector<std::string>{"in_proj.weight", "conv1d.weight", "conv1d.bias",
                                                                       "A_log", "dt_bias", "D", "norm.weight",
                                                                       "out_proj.weight"});
}

TEST_CASE("A Mamba-2 that cannot be is refused by name") {
  const auto refusal = [](auto change) { return recurrent_tests::refusal<Mamba2<float>>(grouped(), change); };
  CHECK(refusal([](auto&) {}) == "");
  CHECK(Mamba2<float>({.width = 768, .heads = 24}).config().head_width == 64);
  CHECK(refusal([](auto& c) { c.groups = 3; }) == "Mamba-2 option groups: expected a divisor of the 4 heads, found 3");
  CHECK(refusal([](auto& c) { c.width = 0; }) == "Mamba-2 option width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.heads = 0; }) == "Mamba-2 option heads: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.head_width = -1; }) == "Mamba-2 option head_width: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.state_width = 0; }) == "Mamba-2 option state_width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.conv_taps = 0; }) == "Mamba-2 option conv_taps: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.norm_epsilon = 0; }).starts_with("Mamba-2 option norm_epsilon: expected"));
  CHECK(refusal([](auto& c) { c.smallest_step = -1; }).starts_with("Mamba-2 option smallest_step: expected"));
  CHECK(refusal([](auto& c) { c.largest_step = 0; }).starts_with("Mamba-2 option largest_step: expected"));
}
