// SPDX-License-Identifier: MIT
// The suite of rules is tested on rules that are right, and on rules that each break one contract.
#include "suites/sequence_rule.hpp"

#include "support/rule_archetype.hpp"

using namespace ttt;
using suites::RuleAnswer;
using suites::RuleColumns;
using suites::RuleNumbers;
using testing::Report;

namespace {

enum class Flaw {
  none,
  scalars_differ,
  primal_differs,
  starts_every_piece_anew,
  wrong_gradient_of_rows,
  wrong_gradient_of_shared,
  wrong_gradient_of_state,
  assigns_shared,
  overflows,
  looks_ahead,
  hides_nan,
  changes_record,
  depends_on_interval,
  allocates
};

/// s = e^g s + a ∘ x, out = s, of two channels.
class DecayingSum {
 public:
  template <class Element>
  struct Rows {
    MatrixView<Element> x, decay;
    Rows rows(Index first, Index count) const { return {x.rows(first, count), decay.rows(first, count)}; }
  };
  using Scalar = double;
  using Input = rules::RuleInput<MatrixView<const double>, Rows<const double>>;
  using InputGradient = rules::RuleInput<MatrixView<double>, Rows<double>>;
  using Record = MatrixView<double>;  // the state before each token

  Flaw flaw = Flaw::none;
  Index interval = 1;

  Index state_size() const { return 2; }
  Index initial_size() const { return 0; }
  Index shared_size() const { return 2; }
  Index token_work() const { return 4; }
  MatrixView<double> shared_gradient(double* data) const { return {data, 1, 2}; }
  Record record(std::int64_t, Index tokens, Arena& memory) const { return memory.matrix<double>(tokens, 2); }

  template <class Arch>
  void forward(const Input& input, double* state, MatrixView<double> out, const Record& record, Arena&) const {
    if (flaw == Flaw::allocates) std::vector<double>(1000).swap(unused_);
    const auto& [x, decay] = input.rows;
    double product = 1;  // of all factors but those of `overflows`
    for (Index t = 0; t < out.rows(); ++t) {
      if (!record.empty()) std::copy_n(state, 2, record.row(t));
      product *= flaw == Flaw::overflows ? std::exp(-decay(t, 0)) : 1;
      for (Index c = 0; c < 2; ++c) {
        const bool anew = flaw == Flaw::starts_every_piece_anew && t == 0;
        state[c] = (anew ? 1 : std::exp(decay(t, 0))) * state[c] + input.shared(0, c) * x(t, c);
        out(t, c) = state[c] * product / product;
        if (flaw == Flaw::scalars_differ && std::is_same_v<Arch, simd::Generic>) out(t, c) += 1e-6;
        if (flaw == Flaw::looks_ahead && t + 1 < out.rows()) out(t, c) += 0 * x(t + 1, c);
        if (flaw == Flaw::hides_nan && std::isnan(out(t, c))) out(t, c) = state[c] = 0;
      }
    }
  }
  template <class Arch>
  void primal(const Input& input, double* state, MatrixView<double> out, Arena& scratch) const {
    forward<Arch>(input, state, out, {}, scratch);
    if (flaw == Flaw::primal_differs) state[1] += 1e-6;
  }
  template <class Arch>
  void backward(const Input& input, const Record& record, MatrixView<const double> d_out, double* d_state,
                const InputGradient& d_input, Arena&) const {
    const auto& [x, decay] = input.rows;
    const auto& [d_x, d_decay] = d_input.rows;
    for (Index t = d_out.rows() - 1; t >= 0; --t) {
      d_decay(t, 0) = 0;
      for (Index c = 0; c < 2; ++c) {
        d_state[c] += d_out(t, c);
        d_x(t, c) = input.shared(0, c) * d_state[c] * (flaw == Flaw::wrong_gradient_of_rows ? 1 + 1e-5 : 1);
        const double of_shared = x(t, c) * d_state[c] * (flaw == Flaw::wrong_gradient_of_shared ? 1 + 1e-5 : 1);
        d_input.shared(0, c) =
            of_shared + (flaw == Flaw::assigns_shared && t == d_out.rows() - 1 ? 0 : d_input.shared(0, c));
        d_decay(t, 0) += std::exp(decay(t, 0)) * record(t, c) * d_state[c];
        d_state[c] *= std::exp(decay(t, 0)) * (flaw == Flaw::wrong_gradient_of_state && t == 0 ? 1 + 1e-5 : 1);
      }
    }
    if (flaw == Flaw::changes_record) fill(record, 0);
    if (flaw == Flaw::depends_on_interval) d_x(0, 0) += 1e-15 * static_cast<double>(interval);
  }

 private:
  static inline std::vector<double> unused_;
};

struct Model {
  using Rule = DecayingSum;
  Rule rule;
  Index chunk = 4;

  Index out_width() const { return 2; }
  Index drawn_state() const { return 2; }
  Rule at_interval(Index interval) const { return {rule.flaw, interval}; }
  std::vector<RuleColumns> rows() const { return {{"x", 2}, {"g", 1, 0.3, -1, true}}; }
  std::vector<RuleColumns> shared() const { return {{"a", 2}}; }
  template <class Element>
  Rule::Rows<Element> rows_of(const std::vector<MatrixView<Element>>& views) const {
    return {views[0], views[1]};
  }
  MatrixView<const double> shared_of(const std::vector<MatrixView<const double>>& views) const { return views[0]; }
  RuleAnswer<double> reference(const RuleNumbers<double>& numbers) const {
    RuleAnswer<double> answer{{numbers.tokens(), 2}, numbers.state};
    for (Index t = 0; t < numbers.tokens(); ++t)
      for (Index c = 0; c < 2; ++c)
        answer.out(t, c) = answer.state(0, c) =
            std::exp(numbers.rows[1](t, 0)) * answer.state(0, c) + numbers.shared[0](0, c) * numbers.rows[0](t, c);
    return answer;
  }
};

struct ArchetypeModel {
  using Rule = testing::RuleArchetype;
  Rule rule = Rule::make();
  Index chunk = 3;

  Index out_width() const { return 1; }
  Index drawn_state() const { return 1; }
  Rule at_interval(Index) const { return rule; }
  std::vector<RuleColumns> rows() const { return {{"x"}}; }
  std::vector<RuleColumns> shared() const { return {{"scale"}}; }
  Rule::Rows<double> rows_of(const std::vector<MatrixView<double>>& views) const { return Rule::rows(views[0]); }
  Rule::Rows<const double> rows_of(const std::vector<MatrixView<const double>>& views) const {
    return Rule::input(views[0](0, 0), views[0]).rows;
  }
  Rule::Shared<const double> shared_of(const std::vector<MatrixView<const double>>& views) const {
    return Rule::input(views[0](0, 0), {}).shared;
  }
  RuleAnswer<double> reference(const RuleNumbers<double>& numbers) const {
    RuleAnswer<double> answer{{numbers.tokens(), 1}, numbers.state};
    for (Index t = 0; t < numbers.tokens(); ++t)
      answer.out(t, 0) = answer.state(0, 0) += numbers.shared[0](0, 0) * numbers.rows[0](t, 0);
    return answer;
  }
};

Report run(const std::string& check, const suites::SequenceRuleSuite<double>& suite) {
  if (check == "formula") return suite.formula();
  if (check == "pieces") return suite.pieces();
  if (check == "gradients") return suite.gradients();
  if (check == "strong decay") return suite.strong_decay();
  if (check == "causality") return suite.causality();
  if (check == "records") return suite.records();
  return suite.allocations();
}

struct Broken {
  Flaw flaw;
  const char* check;
  const char* message;
};

}  // namespace

TEST_CASE("A sound rule passes the suite") { suites::check_rule_contracts(Model()); }

TEST_CASE("The least rule passes the suite, which asks for no more than the concept") {
  suites::check_rule_contracts(ArchetypeModel());
}

TEST_CASE("A rule that is in no kernel table is told from those that are") {
  CHECK(suites::runs_through_tables<rules::SelectiveScan<float>>());
  CHECK(suites::runs_through_tables<rules::Delta<double, rules::DeltaDecay::none, false>>());
  CHECK(suites::runs_through_tables<rules::TttSequence<rules::TttLinear<float, 64, 16>>>());
  CHECK_FALSE(suites::runs_through_tables<DecayingSum>());
}

TEST_CASE("A token that is said to wait for the next chunk is found to reach its own") {
  struct Hasty : Model {
    std::vector<RuleColumns> rows() const {
      auto all = Model::rows();
      all[0].waits = true;
      return all;
    }
  };
  const Report report = suites::SequenceRuleSuite<double>(Hasty()).causality();
  INFO(report.text());
  CHECK_FALSE(report.failures.empty());
}

TEST_CASE("Every check of the suite finds the rule that breaks it") {
  const auto broken = GENERATE(
      Broken{Flaw::scalars_differ, "formula", "forward of scalars"}, Broken{Flaw::primal_differs, "formula", "primal"},
      Broken{Flaw::starts_every_piece_anew, "formula", "forward, 1 tokens"},
      Broken{Flaw::starts_every_piece_anew, "pieces", "tokens, then"},
      Broken{Flaw::wrong_gradient_of_rows, "gradients", "d x"},
      Broken{Flaw::wrong_gradient_of_shared, "gradients", "d a"},
      Broken{Flaw::wrong_gradient_of_state, "gradients", "d initial state"},
      Broken{Flaw::assigns_shared, "gradients", "d a"}, Broken{Flaw::assigns_shared, "pieces", "a: element"},
      Broken{Flaw::overflows, "strong decay", "decays of order 10000"},
      Broken{Flaw::looks_ahead, "causality", "out before it"}, Broken{Flaw::hides_nan, "causality", "hides it"},
      Broken{Flaw::changes_record, "records", "second backward"},
      Broken{Flaw::changes_record, "records", "changed the record"},
      Broken{Flaw::depends_on_interval, "records", "kept every 100"},
      Broken{Flaw::allocates, "allocations", "2 allocations"});
  const Report report = run(broken.check, suites::SequenceRuleSuite<double>(Model{{broken.flaw, 1}}));
  INFO("flaw " << static_cast<int>(broken.flaw) << ", expected \"" << broken.message << "\"\n" << report.text());
  CHECK_FALSE(report.failures.empty());
  CHECK(std::any_of(report.failures.begin(), report.failures.end(),
                    [&](const std::string& failure) { return failure.find(broken.message) != std::string::npos; }));
}
