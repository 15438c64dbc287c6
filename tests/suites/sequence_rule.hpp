// SPDX-License-Identifier: MIT
/// @file
/// The conformance suite of SequenceRule. A rule's test tells of it with a Model (sequence_rule/numbers.hpp), which has
/// the formula as a recurrence of plain loops, and calls `suites::check_sequence_rule(model)`.
///
/// Every check returns a Report, so that the suite can be tested itself: on rules that break one contract each.
#pragma once

#include <limits>

#include "suites/contracts.hpp"
#include "suites/sequence_rule/numbers.hpp"
#include "ttt/dispatch/rules.hpp"

namespace ttt::suites {

template <class Scalar>
class SequenceRuleSuite {
 public:
  using Numbers = RuleNumbers<Scalar>;
  using Answer = RuleAnswer<Scalar>;
  using Matrix = testing::Matrix<Scalar>;

  template <class Model>
  explicit SequenceRuleSuite(const Model& model) : rule_(std::make_unique<RuleOfModel<Model>>(model)) {}

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
    return any(rule_->rows) || any(rule_->shared);
  }
  /// A token changes no bit before it, not even as a NaN.
  Report causality() const;
  /// Which states are kept changes no bit; a backward leaves the record as it is.
  Report records() const;
  /// A rule that has run once allocates nothing.
  Report allocations() const;

 private:
  static constexpr double value_tolerance = std::is_same_v<Scalar, float> ? 2e-5 : 1e-12;

  struct Gradients {
    Numbers d;
    Answer answer;
  };

  Numbers draw(Index tokens, double strength = 0) const {
    std::uint64_t seed = 0;
    const auto matrix = [&](Index count, const RuleColumns& of) {
      const double scale = of.decays && strength > 0 ? strength : of.scale;
      Matrix drawn = testing::random_matrix<Scalar>(count, of.columns, ++seed, scale);
      for (Index i = 0; of.sign != 0 && i < count * of.columns; ++i)
        drawn.view().data()[i] = static_cast<Scalar>(of.sign) * std::abs(drawn.view().data()[i]);
      return drawn;
    };
    Numbers numbers;
    for (const auto& columns : rule_->rows) numbers.rows.push_back(matrix(tokens, columns));
    for (const auto& columns : rule_->shared) numbers.shared.push_back(matrix(1, columns));
    numbers.state = matrix(1, {"state", rule_->state_size, 0.5});
    std::fill(numbers.state.view().data() + rule_->drawn_state, numbers.state.view().row(1), Scalar(0));
    return numbers;
  }
  static RuleNumbers<double> in_double(const Numbers& numbers) {
    const auto convert = [](const Matrix& matrix) {
      testing::Matrix<double> result(matrix.rows(), matrix.columns());
      for (Index i = 0; i < matrix.rows() * matrix.columns(); ++i)
        result.view().data()[i] = static_cast<double>(matrix.view().data()[i]);
      return result;
    };
    RuleNumbers<double> result;
    for (const auto& matrix : numbers.rows) result.rows.push_back(convert(matrix));
    for (const auto& matrix : numbers.shared) result.shared.push_back(convert(matrix));
    result.state = convert(numbers.state);
    return result;
  }
  /// In pieces of the lengths given.
  Answer read(RuleForm form, const Numbers& numbers, const std::vector<Index>& lengths,
              std::vector<RuleRecord>* records = nullptr) const {
    Answer answer{Matrix(numbers.tokens(), rule_->out_width, unwritten<Scalar>), numbers.state};
    Index first = 0;
    for (std::size_t i = 0; i < lengths.size(); first += lengths[i++])
      rule_->forward(form, numbers, first, lengths[i], answer.state.view().data(), answer.out.rows(first, lengths[i]),
                     records ? &(*records)[i] : nullptr);
    return answer;
  }
  /// Gradients of Σ out ∘ d_out + Σ state ∘ d_state; those of what is shared begin at 0.25, as they are added to.
  Gradients differentiate(const RuleUnderTest<Scalar>& rule, const Numbers& numbers, const std::vector<Index>& lengths,
                          std::vector<RuleRecord>& records) const {
    const auto d_out = this->d_out(numbers.tokens());
    Gradients result{numbers, {}};
    for (auto& matrix : result.d.rows) matrix = Matrix(matrix.rows(), matrix.columns(), unwritten<Scalar>);
    for (auto& matrix : result.d.shared) matrix = Matrix(1, matrix.columns(), Scalar(0.25));
    result.d.state = d_state();
    Index first = numbers.tokens();
    for (std::size_t i = lengths.size(); i-- > 0;) {
      first -= lengths[i];
      rule.backward(numbers, first, lengths[i], records[i], d_out.rows(first, lengths[i]), result.d.state.view().data(),
                    result.d);
    }
    return result;
  }
  Gradients gradients_of(const Numbers& numbers, const std::vector<Index>& lengths) const {
    std::vector<RuleRecord> records(lengths.size());
    const auto answer = read(RuleForm::native, numbers, lengths, &records);
    auto result = differentiate(*rule_, numbers, lengths, records);
    result.answer = answer;
    return result;
  }
  Matrix d_out(Index tokens) const { return testing::random_matrix<Scalar>(tokens, rule_->out_width, 101); }
  Matrix d_state() const { return testing::random_matrix<Scalar>(1, rule_->state_size, 102); }
  testing::Parts<Scalar> parts(const Numbers& numbers) const { return numbers.parts(rule_->rows, rule_->shared); }

  void close(Report& report, const std::string& where, const Answer& answer, const Answer& expected) const {
    report.close(where, testing::parts_of(std::as_const(answer.out).view(), "out"),
                 testing::parts_of(std::as_const(expected.out).view(), "out"), value_tolerance);
    report.close(where, testing::parts_of(std::as_const(answer.state).view(), "state"),
                 testing::parts_of(std::as_const(expected.state).view(), "state"), value_tolerance);
  }
  /// `answer` against the formula.
  void expect_formula(Report& report, const std::string& where, const Answer& answer, const Numbers& numbers) const {
    const auto by_hand = rule_->reference(in_double(numbers));
    const auto rounded = [](const testing::Matrix<double>& matrix) {
      Matrix result(matrix.rows(), matrix.columns());
      for (Index i = 0; i < matrix.rows() * matrix.columns(); ++i)
        result.view().data()[i] = static_cast<Scalar>(matrix.view().data()[i]);
      return result;
    };
    close(report, where, answer, {rounded(by_hand.out), rounded(by_hand.state)});
  }
  static std::string tokens(Index count) { return std::to_string(count) + " tokens"; }

  std::unique_ptr<RuleUnderTest<Scalar>> rule_;
};

template <class Scalar>
Report SequenceRuleSuite<Scalar>::formula() const {
  Report report{"formula", 0, {}};
  const Index chunk = rule_->chunk;
  for (const Index count :
       {Index{0}, Index{1}, Index{2}, Index{3}, Index{4}, chunk - 1, chunk, chunk + 1, 3 * chunk + 2}) {
    const auto numbers = draw(count);
    for (const auto& [form, name] : {std::pair{RuleForm::native, "forward, "},
                                     {RuleForm::generic, "forward of scalars, "},
                                     {RuleForm::primal, "primal, "}})
      expect_formula(report, name + tokens(count), read(form, numbers, {count}), numbers);
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::pieces() const {
  Report report{"pieces", 0, {}};
  const Index count = 2 * rule_->chunk + 3;
  const auto numbers = draw(count);
  const auto whole = gradients_of(numbers, {count});
  std::vector<std::vector<Index>> all{std::vector<Index>(static_cast<std::size_t>(count), 1), {0, 2, 1, count - 3, 0}};
  for (Index cut = 1; cut < count; ++cut) all.push_back({cut, count - cut});
  for (const auto& lengths : all) {
    const std::string where = tokens(lengths[0]) + ", then " + tokens(lengths[1]);
    const auto cut = gradients_of(numbers, lengths);
    close(report, where, cut.answer, whole.answer);
    report.close(where, parts(cut.d), parts(whole.d), gradient_tolerance<Scalar>);
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::gradients() const {
  Report report{"gradients", 0, {}};
  if constexpr (std::is_same_v<Scalar, double>)
    for (const Index count : {Index{1}, Index{3}, rule_->chunk, 3 * rule_->chunk + 2}) {
      auto numbers = draw(count);
      const auto d_out = this->d_out(count), d_state = this->d_state();
      const auto d = gradients_of(numbers, {count}).d;
      const auto loss = [&] {
        const auto answer = read(RuleForm::native, numbers, {count});
        double sum = 0;
        for (Index i = 0; i < count * rule_->out_width; ++i)
          sum += answer.out.view().data()[i] * d_out.view().data()[i];
        for (Index i = 0; i < rule_->state_size; ++i) sum += answer.state.view().data()[i] * d_state.view().data()[i];
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
        check(numbers.rows[i], d.rows[i], rule_->rows[i].name, count * numbers.rows[i].columns(), 0);
      for (std::size_t i = 0; i < numbers.shared.size(); ++i)
        check(numbers.shared[i], d.shared[i], rule_->shared[i].name, numbers.shared[i].columns(), 0.25);
      check(numbers.state, d.state, "initial state", rule_->drawn_state, 0);
    }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::strong_decay() const {
  Report report{"strong decay", 0, {}};
  const Index count = 3 * rule_->chunk + 2;
  for (const double strength : {80.0, 1e4, 1e30}) {
    const auto numbers = draw(count, strength);
    std::ostringstream where;
    where << "decays of order " << strength;
    const auto result = gradients_of(numbers, {count});
    expect_formula(report, where.str(), result.answer, numbers);
    for (const auto& part : parts(result.d))
      report.expect(std::all_of(part.values.begin(), part.values.end(), [](Scalar x) { return std::isfinite(x); }),
                    where.str() + ": d " + part.name + " is not finite");
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::causality() const {
  Report report{"causality", 0, {}};
  const Index count = 2 * rule_->chunk + 3;
  const auto numbers = draw(count);
  const auto whole = read(RuleForm::native, numbers, {count});
  for (const Index changed : {Index{0}, rule_->chunk / 2, rule_->chunk, count - 1})
    for (std::size_t i = 0; i < numbers.rows.size(); ++i) {
      auto other = numbers;
      other.rows[i](changed, 0) = std::numeric_limits<Scalar>::quiet_NaN();
      const auto answer = read(RuleForm::native, other, {count});
      const std::string where = "a NaN in " + rule_->rows[i].name + " of token " + std::to_string(changed);
      report.same_bits(where, testing::parts_of(answer.out.rows(0, changed), "out before it"),
                       testing::parts_of(whole.out.rows(0, changed), "out before it"));
      const Scalar* const row = answer.out.rows(changed, 1).data();
      report.expect(std::any_of(row, row + rule_->out_width, [](Scalar x) { return std::isnan(x); }),
                    where + ": its own output hides it");
    }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::records() const {
  Report report{"records", 0, {}};
  const Index count = 4 * rule_->chunk + 2, open = std::min<Index>(3, rule_->chunk - 1);
  const auto numbers = draw(count);
  const auto expected = gradients_of(numbers, {open, count - open});
  for (const Index interval : {1, 3, 100}) {
    const auto rule = rule_->at_interval(interval);
    const std::string where = "a state kept every " + std::to_string(interval);
    std::vector<RuleRecord> records(2);
    auto state = numbers.state;
    Matrix out(count, rule_->out_width);
    rule->forward(RuleForm::native, numbers, 0, open, state.view().data(), out.rows(0, open), &records[0]);
    rule->forward(RuleForm::native, numbers, open, count - open, state.view().data(), out.rows(open, count - open),
                  &records[1]);
    const auto kept = records[1].copy();
    for (const char* time : {", first backward", ", second backward"})
      report.same_bits(where + time, parts(differentiate(*rule, numbers, {open, count - open}, records).d),
                       parts(expected.d));
    report.expect(kept == records[1].copy(), where + ": the backward changed the record");
  }
  return report;
}

template <class Scalar>
Report SequenceRuleSuite<Scalar>::allocations() const {
  Report report{"allocations", 0, {}};
  const auto count = rule_->allocations(draw(3 * rule_->chunk + 2));
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
