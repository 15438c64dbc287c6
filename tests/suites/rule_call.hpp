// SPDX-License-Identifier: MIT
/// @file
/// A call of any rule over three groups and the segments of three sequences, with random numbers, through the driver.
#pragma once

#include <array>
#include <vector>

#include "suites/sequence_rule/numbers.hpp"
#include "ttt/layers/run_rule.hpp"

namespace ttt::suites {

/// What a rule reads in a call, or the gradients of that: of each group its rows, what is shared and the state that
/// sequences begin with; of each sequence the states of all groups.
template <class Scalar>
struct RuleCallNumbers {
  std::vector<RuleNumbers<Scalar>> groups;
  std::vector<testing::Matrix<Scalar>> states;

  testing::Parts<Scalar> parts(const std::vector<RuleColumns>& rows, const std::vector<RuleColumns>& shared) const {
    testing::Parts<Scalar> all;
    for (const auto& group : groups)
      for (auto& part : group.parts(rows, shared)) all.push_back(std::move(part));
    for (const auto& state : states) all.push_back(testing::parts_of(state.view(), "state of a sequence")[0]);
    return all;
  }
};

template <class Model>
class RuleDriverCall {
 public:
  using Rule = typename Model::Rule;
  using Scalar = typename Rule::Scalar;
  using Numbers = RuleCallNumbers<Scalar>;
  using Matrix = testing::Matrix<Scalar>;
  static constexpr Index groups = 3, rows = 29;

  struct Result {
    std::vector<Matrix> outs, states;  ///< of each group, of each sequence
    friend bool operator==(const Result&, const Result&) = default;
  };

  explicit RuleDriverCall(const Model& model) : model_(model) {
    for (std::uint64_t group = 0; group < groups; ++group)
      numbers.groups.push_back(draw_numbers<Scalar>(model_.rows(), model_.shared(), rows,
                                                    {size(), model_.rule.initial_size()}, 100 * group));
    for (std::uint64_t sequence = 0; sequence < 3; ++sequence) {
      Matrix states(1, groups * size());
      for (Index group = 0; group < groups; ++group)  // rows of an open mini-batch are zero at its start
        copy(testing::random_matrix<Scalar>(1, model_.drawn_state(),
                                            700 + 10 * sequence + static_cast<std::uint64_t>(group), 0.5)
                 .view(),
             states.view().columns(group * size(), model_.drawn_state()));
      numbers.states.push_back(states);
    }
  }

  /// Segments of 7 tokens; of 5, none and 6 from the start, and 3 that go on; of 8 from the start.
  Result forward(Context& context, bool recorded = false) {
    auto& scratch = context.scratch();
    const Arena::Frame frame(scratch);
    Result result;
    for (const auto& values : numbers.states) result.states.push_back(values);
    std::array<State, 3> states{{{0, &result.states[0]}, {0, &result.states[1]}, {0, &result.states[2]}}};
    const std::vector<Segment<State>> segments{{7, &states[0]},       {5, &states[1]}, {0, &states[1], true},
                                               {6, &states[1], true}, {3, &states[1]}, {8, &states[2], true}};
    plan_.resize(segments.size());
    plan_segments<State>(segments, plan_);
    for (Index group = 0; group < groups; ++group) result.outs.emplace_back(rows, model_.out_width(), Scalar(777));
    const auto places = rule_states<Scalar, State>(
        segments, [](State& state) { return state.values->view().data(); }, scratch);
    records_ = {};
    if (recorded)
      records_ =
          memory_.lay_out_anew([&](Arena& memory) { return lay_out_records(model_.rule, plan_, groups, memory); });
    run_rule<Rule>(
        {model_.rule, plan_, groups, records_}, places,
        [&](Index group, Scalar* state) { std::copy_n(of(group).state.view().data(), size(), state); },
        [&](const PlannedSegment& segment, Index group) -> RuleViews<Rule> {
          return {input(segment, group),
                  result.outs[static_cast<std::size_t>(group)].rows(segment.row, segment.length)};
        },
        context);
    return result;
  }

  /// Gradients for those of the outputs and of the final states, after a recorded forward; of shared numbers and
  /// initial states added to 0.25.
  Numbers backward(Context& context) const {
    Numbers d = numbers;
    std::vector<std::vector<Scalar>> sums;
    std::vector<Matrix> d_outs;
    for (Index group = 0; group < groups; ++group) d_outs.push_back(d_out(group));
    for (auto& group : d.groups) {
      for (auto& matrix : group.rows) matrix = Matrix(rows, matrix.columns(), Scalar(777));
      sums.emplace_back(static_cast<std::size_t>(model_.rule.initial_size() + model_.rule.shared_size()), Scalar(0.25));
    }
    for (std::size_t i = 0; i < d.states.size(); ++i) d.states[i] = d_state(i);
    const Arena::Frame frame(context.scratch());
    std::vector<State> states;
    for (auto& values : d.states) states.push_back({0, &values});
    const std::vector<State*> d_states{&states[0], &states[1], &states[1], &states[1], &states[1], &states[2]};
    const auto places = rule_states<Scalar, State>(
        d_states, [](State& state) { return state.values->view().data(); }, context.scratch());
    run_rule_backward<Rule>(
        {model_.rule, plan_, groups, records_}, places,
        [&](const PlannedSegment& segment, Index group) -> RuleBackwardViews<Rule> {
          const auto g = static_cast<std::size_t>(group);
          const auto views = views_of<MatrixView<Scalar>>(d.groups[g].rows, segment.row, segment.length);
          return {input(segment, group), d_outs[g].rows(segment.row, segment.length), {{}, model_.rows_of(views)}};
        },
        [&](Index group, const Scalar* found) {
          for (auto& sum : sums[static_cast<std::size_t>(group)]) sum += *found++;
        },
        context);
    for (std::size_t group = 0; group < d.groups.size(); ++group) unpack(sums[group], d.groups[group]);
    return d;
  }

  Matrix d_out(Index group) const {
    return testing::random_matrix<Scalar>(rows, model_.out_width(), 901 + static_cast<std::uint64_t>(group));
  }
  Matrix d_state(std::size_t sequence) const {
    return testing::random_matrix<Scalar>(1, groups * size(), 801 + sequence);
  }
  const Model& model() const { return model_; }

  Numbers numbers;

 private:
  struct State {
    std::int64_t position;
    Matrix* values;
  };

  Index size() const { return model_.rule.state_size(); }
  const RuleNumbers<Scalar>& of(Index group) const { return numbers.groups[static_cast<std::size_t>(group)]; }
  typename Rule::Input input(const PlannedSegment& segment, Index group) const {
    return {model_.shared_of(views_of<MatrixView<const Scalar>>(of(group).shared, 0, 1)),
            model_.rows_of(views_of<MatrixView<const Scalar>>(of(group).rows, segment.row, segment.length))};
  }
  /// From the initial state's gradient and the shared one, one after the other.
  void unpack(const std::vector<Scalar>& sums, RuleNumbers<Scalar>& d) const {
    const Scalar* next = sums.data();
    d.state = Matrix(1, size());
    std::copy_n(next, model_.rule.initial_size(), d.state.view().data());
    next += model_.rule.initial_size();
    for (auto& matrix : d.shared) {
      std::copy_n(next, matrix.columns(), matrix.view().data());
      next += matrix.columns();
    }
  }

  Model model_;
  std::vector<PlannedSegment> plan_;
  Arena memory_;
  std::span<typename Rule::Record> records_;
};

}  // namespace ttt::suites
