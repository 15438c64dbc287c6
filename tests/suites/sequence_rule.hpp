// SPDX-License-Identifier: MIT
/// @file
/// The conformance suite of SequenceRule. A rule's test tells of it with a Model (sequence_rule/numbers.hpp), which has
/// the formula as a recurrence of plain loops, and calls `suites::check_sequence_rule(model)`.
///
/// Every check returns a Report, so that the suite can be tested itself: on rules that break one contract each.
#pragma once

#include <limits>

#include "suites/sequence_rule/runs.hpp"
#include "ttt/dispatch/rules.hpp"

namespace ttt::suites {

template <class Scalar>
class SequenceRuleSuite {
 public:
  template <class Model>
  explicit SequenceRuleSuite(const Model& model) : runs_(model) {}

  /// `forward`, on packs and on scalars, and `primal` are the formula, for lengths of 0 to 3 chunks and 2 tokens.
  Report formula() const;
  /// Any pieces give outputs, state and gradients of one call.
  Report pieces() const;
  /// Gradients of rows, of what is shared and of the initial state by central differences, in double.
  Report gradients() const;
  /// Decays of −80 a step and more leave finite numbers, the formula's; for rules that forget.
  Report strong_decay() const;
  bool decays() const {
    const auto any = [](const auto& list) {
      return std::any_of(list.begin(), list.end(), [](const RuleColumns& columns) { return columns.decays; });
    };
    return any(runs_.rule().rows) || any(runs_.rule().shared);
  }
  /// A token changes no bit before it, not even as a NaN, and shows in its own answer if it should.
  Report causality() const;
  /// Which states are kept changes no bit; a backward leaves the record as it is.
  Report records() const;
  /// A rule that has run once allocates nothing.
  Report allocations() const;

 private:
  using Numbers = RuleNumbers<Scalar>;
  using Matrix = testing::Matrix<Scalar>;

  static std::string tokens(Index count) { return std::to_string(count) + " tokens"; }

  RuleRuns<Scalar> runs_;
};

template <class Scalar>
Report SequenceRuleSuite<Scalar>::formula() const {
  Report report{"formula", 0, {}};
  const Index chunk = runs_.chunk();
  for (const Index count :
       {Index{0}, Index{1}, Index{2}, Index{3}, Index{4}, chunk - 1, chunk, chunk + 1, 3 * chunk + 2}) {
    const auto numbers = runs_.draw(count);
    for (const auto& [form, name] : {std::pair{RuleForm::native, "forward, "},
                                     {RuleForm::generic, "forward of scalars, "},
                                     {RuleForm::primal, "primal, "}})
      runs_.expect_formula(report, name + tokens(count), runs_.read(form, numbers, {count}), numbers);
    runs_.close(report, "forward and primal, " + tokens(count), runs_.read(RuleForm::native, numbers, {count}),
                runs_.read(RuleForm::primal, numbers, {count}), runs_.rule().forms_tolerance);
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::pieces() const {
  Report report{"pieces", 0, {}};
  const Index count = 2 * runs_.chunk() + 3;
  const auto numbers = runs_.draw(count);
  const auto whole = runs_.gradients_of(numbers, {count});
  std::vector<std::vector<Index>> all{std::vector<Index>(static_cast<std::size_t>(count), 1), {0, 2, 1, count - 3, 0}};
  for (Index cut = 1; cut < count; ++cut) all.push_back({cut, count - cut});
  for (const auto& lengths : all) {
    const std::string where = tokens(lengths[0]) + ", then " + tokens(lengths[1]);
    const auto cut = runs_.gradients_of(numbers, lengths);
    runs_.close(report, where, cut.answer, whole.answer);
    report.close(where, runs_.parts(cut.d), runs_.parts(whole.d), gradient_tolerance<Scalar>);
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::gradients() const {
  Report report{"gradients", 0, {}};
  if constexpr (std::is_same_v<Scalar, double>)
    for (const Index count : {Index{1}, Index{3}, runs_.chunk(), 3 * runs_.chunk() + 2}) {
      auto numbers = runs_.draw(count);
      const auto d_out = runs_.d_out(count), d_state = runs_.d_state();
      const auto d = runs_.gradients_of(numbers, {count}).d;
      const auto loss = [&] {
        const auto answer = runs_.read(RuleForm::native, numbers, {count});
        double sum = 0;
        for (Index i = 0; i < count * runs_.rule().out_width; ++i)
          sum += answer.out.view().data()[i] * d_out.view().data()[i];
        for (Index i = 0; i < runs_.rule().state_size; ++i)
          sum += answer.state.view().data()[i] * d_state.view().data()[i];
        return sum;
      };
      const auto check = [&](Matrix& input, const Matrix& d_input, const std::string& name, Index free, double before) {
        std::vector<double> found(d_input.view().data(), d_input.view().data() + free);
        for (double& value : found) value -= before;
        compare_with_differences(
            report, name + " of " + tokens(count), found, testing::sample_indices(free, 24, 24, 9),
            [&](Index i) -> double& { return input.view().data()[i]; }, loss);
      };
      for (std::size_t i = 0; i < numbers.rows.size(); ++i)
        check(numbers.rows[i], d.rows[i], runs_.rule().rows[i].name, count * numbers.rows[i].columns(), 0);
      for (std::size_t i = 0; i < numbers.shared.size(); ++i)
        check(numbers.shared[i], d.shared[i], runs_.rule().shared[i].name, numbers.shared[i].columns(), 0.25);
      check(numbers.state, d.state, "initial state", runs_.rule().drawn_state, 0);
    }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::strong_decay() const {
  Report report{"strong decay", 0, {}};
  const Index count = 3 * runs_.chunk() + 2;
  for (const double strength : {80.0, 1e4, 1e30}) {
    const auto numbers = runs_.draw(count, strength);
    std::ostringstream where;
    where << "decays of order " << strength;
    const auto result = runs_.gradients_of(numbers, {count});
    runs_.expect_formula(report, where.str(), result.answer, numbers);
    for (const auto& part : runs_.parts(result.d))
      report.expect(std::all_of(part.values.begin(), part.values.end(), [](Scalar x) { return std::isfinite(x); }),
                    where.str() + ": d " + part.name + " is not finite");
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::causality() const {
  Report report{"causality", 0, {}};
  const Index count = 2 * runs_.chunk() + 3;
  const auto numbers = runs_.draw(count);
  const auto whole = runs_.read(RuleForm::native, numbers, {count});
  for (const Index changed : {Index{0}, runs_.chunk() / 2, runs_.chunk(), count - 1})
    for (std::size_t i = 0; i < numbers.rows.size(); ++i) {
      auto other = numbers;
      other.rows[i](changed, 0) = std::numeric_limits<Scalar>::quiet_NaN();
      const auto answer = runs_.read(RuleForm::native, other, {count});
      const std::string where = "a NaN in " + runs_.rule().rows[i].name + " of token " + std::to_string(changed);
      const Index chunk = runs_.chunk(), reached = runs_.rule().rows[i].waits ? (changed / chunk + 1) * chunk : changed;
      const Index before = std::min(reached, count);
      report.same_bits(where, testing::parts_of(answer.out.rows(0, before), "out before it"),
                       testing::parts_of(whole.out.rows(0, before), "out before it"));
      if (reached >= count) continue;
      const Scalar* const row = answer.out.rows(reached, 1).data();
      report.expect(std::any_of(row, row + runs_.rule().out_width, [](Scalar x) { return std::isnan(x); }),
                    where + ": the output that it reaches hides it");
    }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::records() const {
  Report report{"records", 0, {}};
  const Index count = 4 * runs_.chunk() + 2, open = std::min<Index>(3, runs_.chunk() - 1);
  const auto numbers = runs_.draw(count);
  const auto expected = runs_.gradients_of(numbers, {open, count - open});
  for (const Index interval : {1, 3, 100}) {
    const auto rule = runs_.rule().at_interval(interval);
    const std::string where = "a state kept every " + std::to_string(interval);
    std::vector<RuleRecord> records(2);
    auto state = numbers.state;
    Matrix out(count, runs_.rule().out_width);
    rule->forward(RuleForm::native, numbers, 0, open, state.view().data(), out.rows(0, open), &records[0]);
    rule->forward(RuleForm::native, numbers, open, count - open, state.view().data(), out.rows(open, count - open),
                  &records[1]);
    const auto kept = records[1].copy();
    for (const char* time : {", first backward", ", second backward"})
      report.same_bits(where + time, runs_.parts(runs_.differentiate(*rule, numbers, {open, count - open}, records).d),
                       runs_.parts(expected.d));
    report.expect(kept == records[1].copy(), where + ": the backward changed the record");
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::allocations() const {
  Report report{"allocations", 0, {}};
  const auto count = runs_.rule().allocations(runs_.draw(3 * runs_.chunk() + 2));
  report.expect(count == 0, std::to_string(count) + " allocations");
  return report;
}

namespace detail {

template <class Rule, class List>
inline constexpr bool is_listed = false;
template <class Rule, class... Listed>
inline constexpr bool is_listed<Rule, std::tuple<Listed...>> = (std::is_same_v<Rule, Listed> || ...);

}  // namespace detail

/// Whether the rule's kernels are in the tables: dispatch/rules.hpp lists it.
template <class Rule>
constexpr bool runs_through_tables() {
  if constexpr (rules::TabledRule<Rule>)
    return detail::is_listed<typename Rule::InTable, DispatchedRules<typename Rule::Scalar>>;
  else
    return false;
}

/// What any rule has to keep, whosever it is.
template <class Model>
void check_rule_contracts(const Model& model) {
  using Scalar = typename Model::Rule::Scalar;
  const SequenceRuleSuite<Scalar> suite(model);
  for (const auto& report : {suite.formula(), suite.pieces(), suite.causality(), suite.records(), suite.allocations()})
    require(report);
  if (suite.decays()) require(suite.strong_decay());
  if constexpr (std::is_same_v<Scalar, double>) require(suite.gradients());
}

/// The contracts and, as a rule of the library, its place in the tables of kernels.
template <class Model>
void check_sequence_rule(const Model& model) {
  static_assert(runs_through_tables<typename Model::Rule>(),
                "a rule of the library names its kernels and stands in the list of ttt/dispatch/rules.hpp");
  check_rule_contracts(model);
}

}  // namespace ttt::suites
