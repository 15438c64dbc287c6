// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_linear/ttt_linear.hpp"

#include "rules/ttt_rule_suite.hpp"
#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("TttLinear: the dual form of any part of a mini-batch equals the primal form") {
  // Rounding of sums of at most 4 D + K terms, each of order one, through two layer norms.
  rule_suite::dual_equals_primal<rules::TttLinear<double>>(6, 5, 1e-13);
  rule_suite::dual_equals_primal<rules::TttLinear<double>>(18, 7, 1e-13);
  rule_suite::dual_equals_primal<rules::TttLinear<float>>(18, 7, 2e-5);
  rule_suite::dual_equals_primal<rules::TttLinear<double, 16, 4>>(16, 4, 1e-13);
}

TEST_CASE("TttLinear: packs compute what the scalar pack computes") {
  rule_suite::packs_equal_scalars<rules::TttLinear<double>>(18, 7, 1e-13);
  rule_suite::packs_equal_scalars<rules::TttLinear<float>>(34, 5, 2e-5);
}

TEST_CASE("TttLinear: a rate of zero leaves the static model") {
  rule_suite::zero_rate_is_static<rules::TttLinear<double>>(6, 5);
}

TEST_CASE("TttLinear: the backward does not depend on where checkpoints are") {
  rule_suite::checkpoints_change_nothing<rules::TttLinear<double>>(6, 5);
}
