// SPDX-License-Identifier: MIT
// Every rule that kernel tables have gives through each of them what it gives by itself, up to rounding.
#include "ttt/dispatch/rules.hpp"

#include "dispatch/tables.hpp"
#include "rules/delta_model.hpp"
#include "rules/large_chunk_model.hpp"
#include "rules/selective_scan_model.hpp"
#include "rules/ttt_model.hpp"
#include "suites/contracts.hpp"
#include "suites/rule_call.hpp"

using namespace ttt;
using rules::DeltaDecay;

namespace {

template <class Scalar>
auto models() {
  return std::make_tuple(
      rule_tests::TttModel<rules::TttLinear<Scalar>>(12, 5), rule_tests::TttModel<rules::TttMlp<Scalar>>(12, 5),
      rule_tests::DeltaModel<Scalar, DeltaDecay::by_row, true>(12, 9), rule_tests::ScanModel<Scalar>(19, 4),
      rule_tests::LargeChunkModel(rules::InnerSwiglu<Scalar>(12, 9), 5, rules::ChunkStep::momentum),
      rule_tests::LargeChunkModel(rules::InnerLinear<Scalar>(12), 5, rules::ChunkStep::plain));
}

// As many as there are rules, in their order: nobody is left out.
template <class... Models>
std::tuple<typename Models::Rule::InTable...> in_tables(std::tuple<Models...>);
static_assert(std::is_same_v<decltype(in_tables(models<float>())), DispatchedRules<float>>);

/// How many numbers a table changes at all.
template <class Model>
Index check_through_tables(const Model& model) {
  using Scalar = typename Model::Rule::Scalar;
  suites::RuleDriverCall<Model> call(model);
  Index changed = 0;
  const auto parts = [&](Context& context) {
    const auto result = call.forward(context, true);
    auto all = call.backward(context).parts(model.rows(), model.shared());
    for (const auto* matrices : {&result.outs, &result.states})
      for (const auto& matrix : *matrices) all.push_back(testing::parts_of(matrix.view(), "outputs and states")[0]);
    return all;
  };
  Context own;
  const auto expected = parts(own);
  for (const KernelTable* table : usable_tables()) {
    Context context;
    context.kernels = table;
    const auto found = parts(context);
    testing::Report report{table->instruction_set, 0, {}}, bits = report;
    report.close("", found, expected, suites::gradient_tolerance<Scalar>);
    suites::require(report);
    bits.same_bits("", found, expected);
    changed += static_cast<Index>(bits.failures.size());
  }
  return changed;
}

}  // namespace

TEMPLATE_TEST_CASE("every rule through any table is the rule, and some bits differ: its kernels are really used",
                   "[dispatch]", float, double) {
  const auto check = [](const auto& model) {
    const Index changed = check_through_tables(model);
    CHECK((changed > 0 || !kernels_for("x86-64-v3")));  // others round as this program does
  };
  std::apply([&](const auto&... model) { (check(model), ...); }, models<TestType>());
  check(rule_tests::DeltaModel<TestType, DeltaDecay::none, false>(12, 9));
}
