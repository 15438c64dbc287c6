// SPDX-License-Identifier: MIT
#pragma once

#include "suites/contracts.hpp"
#include "suites/sequence_rule/numbers.hpp"

namespace ttt::suites {

/// What the checks of a rule do with it, on random numbers.
template <class Scalar>
class RuleRuns {
 public:
  using Numbers = RuleNumbers<Scalar>;
  using Answer = RuleAnswer<Scalar>;
  using Matrix = testing::Matrix<Scalar>;

  template <class Model>
  explicit RuleRuns(const Model& model) : rule_(std::make_unique<RuleOfModel<Model>>(model)) {}

  const RuleUnderTest<Scalar>& rule() const { return *rule_; }
  Index chunk() const { return rule_->chunk; }

  struct Gradients {
    Numbers d;
    Answer answer;
  };

  Numbers draw(Index tokens, double strength = 0) const {
    return draw_numbers<Scalar>(rule_->rows, rule_->shared, tokens, {rule_->state_size, rule_->drawn_state}, 1,
                                strength);
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

  void close(Report& report, const std::string& where, const Answer& answer, const Answer& expected,
             double tolerance = value_tolerance) const {
    report.close(where, testing::parts_of(std::as_const(answer.out).view(), "out"),
                 testing::parts_of(std::as_const(expected.out).view(), "out"), tolerance);
    report.close(where, testing::parts_of(std::as_const(answer.state).view(), "state"),
                 testing::parts_of(std::as_const(expected.state).view(), "state"), tolerance);
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

 private:
  // Sums of products of order one through a norm or two.
  static constexpr double value_tolerance = std::is_same_v<Scalar, float> ? 2e-5 : 1e-12;

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

  std::unique_ptr<RuleUnderTest<Scalar>> rule_;
};

}  // namespace ttt::suites
