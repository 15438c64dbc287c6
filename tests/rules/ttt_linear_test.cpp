// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_linear/ttt_linear.hpp"

#include "rules/ttt_rule_suite.hpp"
#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("TttLinear keeps the contracts of a rule in double") { rule_suite::contracts<rules::TttLinear, double>(); }

TEST_CASE("TttLinear keeps the contracts of a rule in float") { rule_suite::contracts<rules::TttLinear, float>(); }

TEST_CASE("TttLinear: a rate of zero leaves the static model") {
  rule_suite::zero_rate_is_static<rules::TttLinear<double>>(6, 5);
}
