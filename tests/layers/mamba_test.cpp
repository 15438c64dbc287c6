// SPDX-License-Identifier: MIT
#include "ttt/layers/mamba.hpp"

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

MambaConfig narrow() { return {.width = width, .inner_width = 10, .state_width = 3, .step_rank = 2, .conv_taps = 3}; }
/// Two groups of channels.
MambaConfig grouped() { return {.width = width, .inner_width = 128, .state_width = 2, .conv_taps = 2}; }

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(const MambaConfig& config, const NamedWeights& p, const Matrix<double>& u) {
  const auto inner = static_cast<std::size_t>(config.inner_width), K = static_cast<std::size_t>(config.state_width);
  const auto rank = static_cast<std::size_t>(config.step_rank);
  std::vector<Row> projected, h(inner, Row(K));
  Matrix<double> y(u.rows(), config.width);
  for (Index t = 0; t < u.rows(); ++t) {
    projected.push_back(map(p["in_proj.weight"], row_of(u, t)));
    const Row x = silu(convolved(p, "conv1d.", projected)), selected = map(p["x_proj.weight"], x);
    const Row logits = map(p["dt_proj.weight"], selected);
    Row out(inner);
    for (std::size_t c = 0; c < inner; ++c) {
      const auto channel = static_cast<Index>(c);
      const double step = std::log1p(std::exp(logits[c] + p["dt_proj.bias"](0, channel)));
      double o = p["D"](0, channel) * x[c];
      for (std::size_t n = 0; n < K; ++n) {
        const double rate = -std::exp(p["A_log"](channel, static_cast<Index>(n)));
        h[c][n] = std::exp(step * rate) * h[c][n] + step * x[c] * selected[rank + n];
        o += h[c][n] * selected[rank + K + n];
      }
      out[c] = o * silu(projected.back()[inner + c]);
    }
    assign(map(p["out_proj.weight"], out), y, t);
  }
  return y;
}

suites::LayerCase options(const Mamba<double>& layer) {
  return {.mini_batch = 4, .spread = 0.3, .formula = std::bind_front(formula, layer.config())};
}

template <class Scalar>
void check(const MambaConfig& config) {
  suites::check_sequence_layer(Mamba<Scalar>(config), options(Mamba<double>(config)));
}

}  // namespace

TEST_CASE("Mamba is a sequence layer") {
  check<double>(narrow());
  check<float>(narrow());
  check<float>(grouped());
  const Mamba<double> wide(grouped());  // whose differences take long
  suites::require(suites::SequenceLayerSuite(wide, options(wide)).formula());
}

TEST_CASE("Mamba names its parameters as published, and begins with the rates 1, 2, …") {
  ParameterStore<MambaParameters<float>> store(Mamba<float>(narrow()).make_parameters());
  initialize(store.views(), 1);
  CHECK(names_of(Mamba<float>(narrow())) == std::vector<std::string>{"in_proj.weight", "conv1d.weight", "conv1d.bias",
                                                                     "x_proj.weight", "dt_proj.weight", "dt_proj.bias",
                                                                     "A_log", "D", "out_proj.weight"});
  for (Index n = 0; n < 3; ++n) CHECK(std::exp(store.views().log_rate[9 * 3 + n]) == Approx(1 + n));
  CHECK(Mamba<float>({.width = 768}).config() == MambaConfig{.width = 768, .inner_width = 1536, .step_rank = 48});
  CHECK(Mamba<float>({.width = 17}).config().step_rank == 2);
}

TEST_CASE("A Mamba that cannot be is refused by name") {
  const auto refusal = [](auto change) { return recurrent_tests::refusal<Mamba<float>>(narrow(), change); };
  CHECK(refusal([](auto&) {}) == "");
  CHECK(refusal([](auto& c) { c.width = 0; }) == "Mamba option width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.inner_width = -1; }) == "Mamba option inner_width: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.state_width = 0; }) == "Mamba option state_width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.step_rank = -1; }) == "Mamba option step_rank: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.conv_taps = 0; }) == "Mamba option conv_taps: expected at least 1, found 0");
}
