// SPDX-License-Identifier: MIT
#include "ttt/models/causal_lm.hpp"

#include <atomic>
#include <string>
#include <vector>

#include "suites/language_model.hpp"
#include "support/catch.hpp"
#include "ttt/layers/ttt_linear.hpp"

namespace {

using namespace ttt;

constexpr Index mini_batch = 3, width = 8, vocabulary = 11, hidden = 10;

template <class Scalar>
TttLinear<Scalar> ttt_linear(bool mamba) {
  TttConfig config;
  config.width = width;
  config.heads = 2;
  config.mini_batch = mini_batch;
  config.gate = config.share_query_key = mamba;
  return TttLinear<Scalar>(config);
}

/// Two blocks of TTT-Linear; the mamba backbone with three taps.
template <class Scalar>
CausalLm<TttLinear<Scalar>> model(bool tied, bool mamba) {
  return {{vocabulary, width, hidden, tied, mamba, 3}, {ttt_linear<Scalar>(mamba), ttt_linear<Scalar>(mamba)}};
}

// Keeps the position factors 1/r + learned_r of TTT layers off their clamp at zero.
const suites::LayerCase options{
    .mini_batch = mini_batch, .prepare = [](std::string_view name, Index index, double value) {
      return name.ends_with("learnable_token_idx") ? 0.1 / static_cast<double>(index + 1) : value;
    }};

TEST_CASE("the transformer backbone is a language model") {
  suites::check_language_model(model<double>(false, false), options);
  suites::check_language_model(model<float>(true, false), options);
}

TEST_CASE("the mamba backbone is a language model") {
  suites::check_language_model(model<double>(true, true), options);
  suites::check_language_model(model<float>(false, true), options);
}

}  // namespace
