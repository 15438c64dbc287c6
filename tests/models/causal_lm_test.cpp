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
using testing::LanguageModelSuite;
using testing::Report;

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

template <class Model>
void check(const Model& model) {
  for (const Report& report : LanguageModelSuite<Model>(model, mini_batch).all()) {
    INFO(report.text());
    CHECK(report.failures.empty());
    CHECK(report.comparisons > 0);
  }
}

TEST_CASE("the transformer backbone is a language model") {
  check(model<double>(false, false));
  check(model<float>(true, false));
}

TEST_CASE("the mamba backbone is a language model") {
  check(model<double>(true, true));
  check(model<float>(false, true));
}

}  // namespace
