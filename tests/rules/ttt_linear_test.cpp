// SPDX-License-Identifier: MIT
#include "ttt/rules/ttt_linear/ttt_linear.hpp"

#include "rules/ttt_rule_suite.hpp"
#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("TttLinear keeps the contracts of a rule in double") { rule_suite::contracts<rules::TttLinear, double>(); }

TEST_CASE("TttLinear keeps the contracts of a rule in float") { rule_suite::contracts<rules::TttLinear, float>(); }

TEST_CASE("TttLinear keeps the contracts of a rule in the exclusive orders, too") {
  rule_suite::contracts_of_exclusive_orders<rules::TttLinear, double>();
  rule_suite::contracts_of_exclusive_orders<rules::TttLinear, float>();
}

TEST_CASE("TttLinear: in an exclusive order no answer depends on another token of its mini-batch") {
  rule_suite::exclusive_orders_see_whole_mini_batches<rules::TttLinear<double>>();
}

TEST_CASE("TttLinear: in an exclusive order the first mini-batch is answered by the initial weights") {
  rule_suite::first_mini_batch_is_answered_by_the_start<rules::TttLinear<double>>();
}

TEST_CASE("TttLinear: a rate of zero leaves the static model") {
  rule_suite::zero_rate_is_static<rules::TttLinear<double>>(6, 5);
}
