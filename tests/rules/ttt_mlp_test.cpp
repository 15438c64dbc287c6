// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

#include "rules/ttt_rule_suite.hpp"
#include "support/catch.hpp"
#include "support/denormals.hpp"

using namespace ttt;

TEST_CASE("TttMlp: the dual form of any part of a mini-batch equals the primal form") {
  // Rounding of sums of at most 4 D + K terms, each of order one, through two layer norms.
  rule_suite::dual_equals_primal<rules::TttMlp<double>>(6, 5, 1e-13);
  rule_suite::dual_equals_primal<rules::TttMlp<double>>(18, 7, 1e-13);
  rule_suite::dual_equals_primal<rules::TttMlp<float>>(18, 7, 2e-5);
  rule_suite::dual_equals_primal<rules::TttMlp<double, 16, 4>>(16, 4, 1e-13);
}

TEST_CASE("TttMlp: packs compute what the scalar pack computes") {
  rule_suite::packs_equal_scalars<rules::TttMlp<double>>(18, 7, 1e-13);
  rule_suite::packs_equal_scalars<rules::TttMlp<float>>(34, 5, 2e-5);
}

TEST_CASE("TttMlp: a rate of zero leaves the static model") {
  rule_suite::zero_rate_is_static<rules::TttMlp<double>>(6, 5);
}

TEST_CASE("TttMlp: the backward does not depend on where checkpoints are") {
  rule_suite::checkpoints_change_nothing<rules::TttMlp<double>>(6, 5);
}

TEMPLATE_TEST_CASE("TttMlp: a saturated inner model leaves no denormal numbers", "", float, double) {
  rule_suite::Bench<rules::TttMlp<TestType>> bench(18, 7, 24);  // three rows of the last mini-batch stay open
  for (auto& weight : bench.state) weight *= 30;
  for (auto& rate : bench.rates) rate *= 100;
  const auto [out, state] = bench.template read<simd::Native>(rules::TttForm::dual, {24});
  CHECK(testing::denormals(out) == 0);
  CHECK(testing::denormals(state) == 0);
}
