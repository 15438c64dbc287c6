// SPDX-License-Identifier: MIT
#include "ttt/layers/mamba.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "suites/sequence_layer.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt;
using testing::Matrix;

namespace {

constexpr Index width = 7;

MambaConfig narrow() { return {.width = width, .inner_width = 10, .state_width = 3, .step_rank = 2, .conv_taps = 3}; }
/// Two groups of channels.
MambaConfig grouped() { return {.width = width, .inner_width = 128, .state_width = 2, .conv_taps = 2}; }

const suites::LayerCase options{.mini_batch = 4, .spread = 0.3};

double silu(double x) { return x / (1 + std::exp(-x)); }

/// x W^T of one token.
std::vector<double> map(const Tensor<double>& weight, const double* x) {
  std::vector<double> y(static_cast<std::size_t>(weight.shape()[0]));
  for (std::size_t n = 0; n < y.size(); ++n)
    for (Index c = 0; c < weight.shape()[1]; ++c) y[n] += weight.panels()(c, static_cast<Index>(n)) * x[c];
  return y;
}

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(const MambaConfig& config, const MambaParameters<double>& p, const Matrix<double>& u) {
  const auto inner = static_cast<std::size_t>(config.inner_width), K = static_cast<std::size_t>(config.state_width);
  const auto rank = static_cast<std::size_t>(config.rank());
  std::vector<std::vector<double>> projected, h(inner, std::vector<double>(K));
  Matrix<double> y(u.rows(), config.width);
  for (Index t = 0; t < u.rows(); ++t) {
    projected.push_back(map(p.input, u.view().row(t)));
    std::vector<double> x(inner), out(inner);
    for (std::size_t c = 0; c < inner; ++c) {
      double sum = p.conv.bias[static_cast<Index>(c)];
      for (Index j = 0; j < config.conv_taps; ++j)
        if (const Index from = t - config.conv_taps + 1 + j; from >= 0)
          sum += p.conv.weight[static_cast<Index>(c) * config.conv_taps + j] *
                 projected[static_cast<std::size_t>(from)][c];
      x[c] = silu(sum);
    }
    const auto selected = map(p.selection, x.data()), logits = map(p.step_weight, selected.data());
    for (std::size_t c = 0; c < inner; ++c) {
      const auto channel = static_cast<Index>(c);
      const double step = std::log1p(std::exp(logits[c] + p.step_bias[channel]));
      double o = p.skip[channel] * x[c];
      for (std::size_t n = 0; n < K; ++n) {
        const double rate = -std::exp(p.log_rate[channel * config.state_width + static_cast<Index>(n)]);
        h[c][n] = std::exp(step * rate) * h[c][n] + step * x[c] * selected[rank + n];
        o += h[c][n] * selected[rank + K + n];
      }
      out[c] = o * silu(projected.back()[inner + c]);
    }
    const auto row = map(p.output, out.data());
    std::copy(row.begin(), row.end(), y.view().row(t));
  }
  return y;
}

}  // namespace

TEST_CASE("Mamba is its formula") {
  for (const MambaConfig& config : {narrow(), grouped()}) {
    const Mamba<double> layer(config);
    ParameterStore<MambaParameters<double>> store(layer.make_parameters());
    suites::draw_weights(store.views(), options);
    const auto x = testing::random_matrix<double>(37, width, 2);
    Matrix<double> y(37, width);
    Context context;
    auto state = layer.initial_state(store.views());
    const Segment<State<double>> segment{37, &state};
    layer.forward(store.views(), x.view(), {&segment, 1}, y.view(), context);
    const Matrix<double> expected = formula(config, store.views(), x);
    CHECK(testing::far_apart(testing::parts_of(std::as_const(y).view(), "y")[0].values,
                             testing::parts_of(expected.view(), "y")[0].values, 1e-11) == "");
  }
}

TEST_CASE("Mamba is a sequence layer") {
  suites::check_sequence_layer(Mamba<double>(narrow()), options);
  suites::check_sequence_layer(Mamba<float>(narrow()), options);
  suites::check_sequence_layer(Mamba<float>(grouped()), options);
}

TEST_CASE("Mamba names its parameters as published, and begins with the rates 1, 2, …") {
  ParameterStore<MambaParameters<float>> store(Mamba<float>(narrow()).make_parameters());
  initialize(store.views(), 1);
  std::vector<std::string> names;
  store.views().visit([&](std::string_view name, auto&, const ParameterInfo&) { names.emplace_back(name); });
  CHECK(names == std::vector<std::string>{"in_proj.weight", "conv1d.weight", "conv1d.bias", "x_proj.weight",
                                          "dt_proj.weight", "dt_proj.bias", "A_log", "D", "out_proj.weight"});
  for (Index n = 0; n < 3; ++n) CHECK(std::exp(store.views().log_rate[9 * 3 + n]) == Approx(1 + n));
  CHECK(MambaConfig{.width = 768}.rank() == 48);
  CHECK(MambaConfig{.width = 17}.rank() == 2);
}

TEST_CASE("A Mamba that cannot be is refused by name") {
  const auto refusal = [](auto change) {
    MambaConfig config = narrow();
    change(config);
    return testing::error_message([&] { Mamba<float>{config}; });
  };
  CHECK(refusal([](auto&) {}) == "");
  CHECK(refusal([](auto& c) { c.width = 0; }) == "Mamba option width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.inner_width = 0; }) == "Mamba option inner_width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.state_width = 0; }) == "Mamba option state_width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.step_rank = -1; }) == "Mamba option step_rank: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.conv_taps = 0; }) == "Mamba option conv_taps: expected at least 1, found 0");
}
