// SPDX-License-Identifier: MIT
#include "ttt/layers/run_rule.hpp"

#include "rules/delta_model.hpp"
#include "rules/selective_scan_model.hpp"
#include "rules/ttt_model.hpp"
#include "suites/contracts.hpp"
#include "suites/rule_call.hpp"
#include "support/rule_archetype.hpp"

using namespace ttt;
using suites::RuleDriverCall;

namespace {

using TttModel = rule_tests::TttModel<rules::TttLinear<double>>;
using ScanModel = rule_tests::ScanModel<double>;
using DeltaModel = rule_tests::DeltaModel<double, rules::DeltaDecay::one, true>;

template <class Body>
void for_each_model(Body&& body) {
  body(TttModel(4, 4));  // begins with learned weights; 6 tokens are no whole number of mini-batches
  body(ScanModel(5, 2));
  body(DeltaModel(3, 4));
}

/// Σ out ∘ d_out + Σ state ∘ d_state.
template <class Call>
double loss(Call& call, Context& context) {
  const auto result = call.forward(context);
  double sum = 0;
  for (std::size_t group = 0; group < result.outs.size(); ++group) {
    const auto d_out = call.d_out(static_cast<Index>(group));
    for (Index i = 0; i < d_out.rows() * d_out.columns(); ++i)
      sum += result.outs[group].view().data()[i] * d_out.view().data()[i];
  }
  for (std::size_t sequence = 0; sequence < result.states.size(); ++sequence) {
    const auto d_state = call.d_state(sequence);
    for (Index i = 0; i < d_state.columns(); ++i) sum += result.states[sequence](0, i) * d_state(0, i);
  }
  return sum;
}

/// Some of `values` by central differences; `before` is what their gradients were added to.
template <class Matrix>
void compare(testing::Report& report, const std::string& name, FunctionRef<double()> loss, Matrix& values,
             const Matrix& gradients, double before) {
  std::vector<double> found(gradients.view().data(), gradients.view().data() + values.rows() * values.columns());
  for (double& value : found) value -= before;
  std::vector<Index> chosen;
  for (const Index i : testing::sample_indices(values.rows() * values.columns(), 12, 12, 5))
    if (values.view().data()[i] != 0) chosen.push_back(i);  // others are rows of a mini-batch that is not open
  suites::compare_with_differences(
      report, name, found, chosen, [&](Index i) -> double& { return values.view().data()[i]; }, loss);
}

}  // namespace

TEST_CASE("run_rule reads each segment and group as the rule alone does") {
  for_each_model([](const auto& model) {
    using Model = std::decay_t<decltype(model)>;
    using Matrix = testing::Matrix<double>;
    RuleDriverCall<Model> call(model);
    Context context;
    const auto result = call.forward(context);
    const Index size = model.rule.state_size();
    for (Index group = 0; group < call.groups; ++group) {
      const auto& numbers = call.numbers.groups[static_cast<std::size_t>(group)];
      Matrix out(call.rows, model.out_width(), 777);
      suites::RuleOfModel<Model> rule(model);
      // The segments of the call: what they start from, where they stand, and how many tokens were read before.
      const auto read = [&](Matrix& state, Index first, Index count, Index position) {
        auto piece = numbers;
        for (auto& rows : piece.rows) {
          Matrix part(position + count, rows.columns());
          copy(std::as_const(rows).rows(first, count), part.rows(position, count));
          rows = part;
        }
        rule.forward(suites::RuleForm::native, piece, position, count, state.view().data(), out.rows(first, count),
                     nullptr);
      };
      const auto before = [&](std::size_t sequence) {
        Matrix state(1, size);
        copy(std::as_const(call.numbers.states[sequence]).view().columns(group * size, size), state.view());
        return state;
      };
      Matrix first = before(0), second = numbers.state, third = numbers.state, thrown_away = before(1);
      read(first, 0, 7, 0);
      read(thrown_away, 7, 5, 0);
      read(second, 12, 6, 0);
      read(second, 18, 3, 6);
      read(third, 21, 8, 0);
      CHECK(out == result.outs[static_cast<std::size_t>(group)]);
      std::size_t sequence = 0;
      for (const auto* state : {&first, &second, &third}) {
        Matrix left(1, size);
        copy(result.states[sequence++].view().columns(group * size, size), left.view());
        CHECK(left == *state);
      }
    }
  });
}

TEST_CASE("run_rule_backward: gradients across segments, resets and groups by central differences") {
  for_each_model([](const auto& model) {
    RuleDriverCall<std::decay_t<decltype(model)>> call(model);
    Context context;
    call.forward(context, true);
    const auto d = call.backward(context);
    const auto sum = [&] { return loss(call, context); };
    testing::Report report{"run_rule_backward", 0, {}};
    for (std::size_t group = 0; group < d.groups.size(); ++group) {
      auto& numbers = call.numbers.groups[group];
      const auto& found = d.groups[group];
      for (std::size_t i = 0; i < numbers.rows.size(); ++i)
        compare(report, model.rows()[i].name, sum, numbers.rows[i], found.rows[i], 0);
      for (std::size_t i = 0; i < numbers.shared.size(); ++i)
        compare(report, model.shared()[i].name, sum, numbers.shared[i], found.shared[i], 0.25);
      compare(report, "initial state", sum, numbers.state, found.state, 0.25);
    }
    for (std::size_t sequence = 0; sequence < d.states.size(); ++sequence)
      compare(report, "state of a sequence", sum, call.numbers.states[sequence], d.states[sequence], 0);
    suites::require(report);
  });
}

TEST_CASE("run_rule has the same bits for any number of threads, with records or without") {
  for_each_model([](const auto& model) {
    RuleDriverCall<std::decay_t<decltype(model)>> call(model);
    Context alone;
    const auto parts = [&](const auto& d) { return d.parts(model.rows(), model.shared()); };
    const auto expected = call.forward(alone, true);
    const auto d_expected = call.backward(alone);
    for (const Index workers : {2, 3}) {
      ThreadPool pool(workers);
      Context context(pool);
      CHECK(call.forward(context) == expected);
      CHECK(call.forward(context, true) == expected);
      testing::Report report{"gradients", 0, {}};
      report.same_bits(std::to_string(workers) + " threads", parts(call.backward(context)), parts(d_expected));
      suites::require(report);
    }
  });
}

TEST_CASE("run_rule asks of a rule no more than the concept") {
  using Rule = testing::RuleArchetype;
  const Rule rule = Rule::make();
  const double scale = 2, x[] = {1, 2, 3, 4};
  double state[] = {10, 20}, out[4], d_x[4], d_state[] = {1, 2}, sums[] = {0, 0};
  const std::array<PlannedSegment, 2> plan{{{0, 1, 0, true, false}, {1, 1, 1, false, true}}};
  const std::array<double*, 2> states{state, state}, d_states{d_state, d_state};
  Context context;
  const auto views = [](auto* data, const PlannedSegment& segment, Index group) {
    return MatrixView(data + 2 * group + segment.row, segment.length, 1);
  };
  run_rule<Rule>(
      {rule, plan, 2}, states, [](Index group, double* first) { *first = static_cast<double>(100 * group); },
      [&](const PlannedSegment& segment, Index group) -> RuleViews<Rule> {
        return {Rule::input(scale, views(x, segment, group)), views(out, segment, group)};
      },
      context);
  CHECK(std::vector<double>(out, out + 4) == std::vector<double>{2, 6, 106, 114});
  CHECK(std::vector<double>(state, state + 2) == std::vector<double>{6, 114});
  const double d_out[] = {1, 1, 1, 1};
  run_rule_backward<Rule>(
      {rule, plan, 2}, d_states,
      [&](const PlannedSegment& segment, Index group) -> RuleBackwardViews<Rule> {
        return {Rule::input(scale, views(x, segment, group)),
                views(d_out, segment, group),
                {{}, Rule::rows(views(d_x, segment, group))}};
      },
      [&](Index group, const double* found) { sums[group] = 1000 * found[0] + found[1]; }, context);
  CHECK(std::vector<double>(d_x, d_x + 4) == std::vector<double>{6, 4, 8, 6});
  CHECK(std::vector<double>(sums, sums + 2) == std::vector<double>{3000 + 3 * 1 + 2 * 2, 4000 + 4 * 3 + 3 * 4});
  CHECK(std::vector<double>(d_state, d_state + 2) == std::vector<double>{0, 0});
}
