// SPDX-License-Identifier: MIT
#include "ttt/layers/gated_short_convolution.hpp"

#include <functional>
#include <string>
#include <vector>

#include "layers/recurrent_layer.hpp"

using namespace ttt;
using namespace ttt::formula_parts;

namespace {

constexpr Index width = 7;

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(const GatedShortConvolutionConfig& config, const NamedWeights& p, const Matrix<double>& x) {
  const auto C = static_cast<std::size_t>(config.width);
  std::vector<Row> gated;
  Matrix<double> y(x.rows(), config.width);
  for (Index t = 0; t < x.rows(); ++t) {
    const Row projected = map(p["in_proj.weight"], row_of(x, t));
    gated.emplace_back(C);
    for (std::size_t c = 0; c < C; ++c) gated.back()[c] = projected[c] * projected[2 * C + c];
    Row mixed = convolved(p, "conv.", gated);
    for (std::size_t c = 0; c < C; ++c) mixed[c] *= projected[C + c];
    assign(map(p["out_proj.weight"], mixed), y, t);
  }
  return y;
}

template <class Scalar>
void check(const GatedShortConvolutionConfig& config) {
  suites::check_sequence_layer(GatedShortConvolution<Scalar>(config),
                               {.mini_batch = 4, .formula = std::bind_front(formula, config)});
}

}  // namespace

TEST_CASE("A gated short convolution is a sequence layer, of any number of taps") {
  check<double>({.width = width});
  check<float>({.width = width});
  check<double>({.width = width, .conv_taps = 1});
  check<double>({.width = width, .conv_taps = 5});
}

TEST_CASE("A gated short convolution has the names of lfm2, and no bias") {
  CHECK(recurrent_tests::names_of(GatedShortConvolution<float>({.width = width})) ==
        std::vector<std::string>{"in_proj.weight", "conv.weight", "out_proj.weight"});
}

TEST_CASE("A gated short convolution that cannot be is refused by name") {
  const auto refusal = [](auto change) {
    return recurrent_tests::refusal<GatedShortConvolution<float>>({.width = width}, change);
  };
  const std::string option = "gated short convolution option ";
  CHECK(refusal([](auto&) {}) == "");
  CHECK(refusal([](auto& c) { c.width = 0; }) == option + "width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.conv_taps = 0; }) == option + "conv_taps: expected at least 1, found 0");
}
