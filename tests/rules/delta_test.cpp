// SPDX-License-Identifier: MIT
#include "rules/delta_model.hpp"
#include "rules/delta_sequence.hpp"
#include "suites/sequence_rule.hpp"
#include "support/denormals.hpp"

using namespace ttt;
using namespace ttt::delta_tests;
using rules::DeltaDecay;

TEMPLATE_TEST_CASE("every kind of the delta family keeps the contracts of a rule", "[rules][delta]", float, double) {
  rule_tests::for_each_delta([]<DeltaDecay decay, bool erases>() {
    INFO("decay of kind " << static_cast<int>(decay) << ", erases " << erases);
    suites::check_sequence_rule(rule_tests::DeltaModel<TestType, decay, erases>(6, 5));
    suites::check_sequence_rule(rule_tests::DeltaModel<TestType, decay, erases>(12, 20));
  });
}

TEMPLATE_TEST_CASE("every kind of the delta family is its recurrence, whatever the widths", "[rules][delta]", float,
                   double) {
  // Below, at and above packs and panels.
  rule_tests::for_each_delta([]<DeltaDecay decay, bool erases>() {
    for (const auto& [keys, values] : {std::pair{1, 1}, {5, 3}, {12, 16}, {64, 64}, {9, 70}}) {
      INFO("K " << keys << ", V " << values << ", decay of kind " << static_cast<int>(decay) << ", erases " << erases);
      const suites::SequenceRuleSuite<TestType> suite(rule_tests::DeltaModel<TestType, decay, erases>(keys, values));
      suites::require(suite.formula());
    }
  });
}

TEST_CASE("a state that decays to nothing is zero, never denormal", "[rules][delta]") {
  for (const Index decay : {1, 8}) {
    auto s = random_sequence<float>(20, 8, 10, decay, false);
    s.decay = Matrix<float>(20, decay, -86.0F);
    s.write = Matrix<float>(20, 8);
    for (const auto& result : {forward(s), recurrent(s)})
      for (const auto* part : {&result.out, &result.state})
        CHECK(testing::denormals(testing::parts_of(part->view(), "")[0].values) == 0);
  }
}
