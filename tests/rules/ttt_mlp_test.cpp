// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

#include "rules/ttt_rule_suite.hpp"
#include "support/catch.hpp"
#include "support/denormals.hpp"

using namespace ttt;

TEST_CASE("TttMlp keeps the contracts of a rule in double") { rule_suite::contracts<rules::TttMlp, double>(); }

TEST_CASE("TttMlp keeps the contracts of a rule in float") { rule_suite::contracts<rules::TttMlp, float>(); }

TEST_CASE("TttMlp: a rate of zero leaves the static model") {
  rule_suite::zero_rate_is_static<rules::TttMlp<double>>(6, 5);
}

TEMPLATE_TEST_CASE("TttMlp: a saturated inner model leaves no denormal numbers", "", float, double) {
  rule_suite::Bench<rules::TttMlp<TestType>> bench(18, 7, 24);  // three rows of the last mini-batch stay open
  for (auto& weight : bench.state) weight *= 30;
  for (auto& rate : bench.rates) rate *= 100;
  const auto [out, state] = bench.read();
  CHECK(testing::denormals(out) == 0);
  CHECK(testing::denormals(state) == 0);
}
