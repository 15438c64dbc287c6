// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

#include "rules/ttt_rule_suite.hpp"
#include "support/catch.hpp"
#include "support/denormals.hpp"

using namespace ttt;

TEST_CASE("TttMlp keeps the contracts of a rule in double") { rule_suite::contracts<rules::TttMlp, double>(); }

TEST_CASE("TttMlp keeps the contracts of a rule in float") { rule_suite::contracts<rules::TttMlp, float>(); }

TEST_CASE("TttMlp keeps the contracts of a rule in the exclusive orders, too") {
  rule_suite::contracts_of_exclusive_orders<rules::TttMlp, double>();
  rule_suite::contracts_of_exclusive_orders<rules::TttMlp, float>();
}

TEST_CASE("TttMlp: in an exclusive order no answer depends on another token of its mini-batch") {
  rule_suite::exclusive_orders_see_whole_mini_batches<rules::TttMlp<double>>();
}

TEST_CASE("TttMlp: in an exclusive order the first mini-batch is answered by the initial weights") {
  rule_suite::first_mini_batch_is_answered_by_the_start<rules::TttMlp<double>>();
}

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
