// SPDX-License-Identifier: MIT
/// @file
/// The driver that runs a SequenceRule over the segments of a call and the groups (heads, blocks of channels) of their
/// sequences: one task for each group of each run of segments that share a State.
#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "ttt/core/context.hpp"
#include "ttt/core/segment_plan.hpp"
#include "ttt/core/state.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/sequence_rule.hpp"

TTT_NAMESPACE_BEGIN

/// What a rule runs over.
template <rules::SequenceRule Rule>
struct RuleCall {
  Rule rule;
  SegmentPlan plan;
  Index groups = 1;
  std::span<const typename Rule::Record> records{};  ///< of each segment and group; none without a backward

  Index place(std::size_t segment, Index group) const { return static_cast<Index>(segment) * groups + group; }
  typename Rule::Record record(std::size_t segment, Index group) const {
    return records.empty() ? typename Rule::Record{} : records[static_cast<std::size_t>(place(segment, group))];
  }
};

/// What the forward of one segment and group reads, and where its answers go. The driver fills in the position.
template <class Rule>
struct RuleViews {
  typename Rule::Input input;
  MatrixView<typename Rule::Scalar> out;
};

/// The same of a backward, and where the gradients of the rows go. The driver fills in the gradient of what is shared.
template <class Rule>
struct RuleBackwardViews {
  typename Rule::Input input;
  MatrixView<const typename Rule::Scalar> d_out;
  typename Rule::InputGradient d_input;
};

/// The columns of a group, each of so many, in the rows of a segment; nothing of what there is not.
template <class Scalar>
MatrixView<Scalar> of_group(MatrixView<Scalar> all, const PlannedSegment& segment, Index group, Index columns) {
  return all.empty() ? all : all.rows(segment.row, segment.length).columns(group * columns, columns);
}

/// Of each segment where the states of its groups lie, one after another; null, or none at all, for gradients of states
/// that are zero and not wanted.
template <class Scalar>
using RuleStates = std::span<Scalar* const>;

/// What `place(state)` tells of the States of a call, in memory of an arena.
template <class Scalar, class State, class Place>
RuleStates<Scalar> rule_states(std::span<const Segment<State>> segments, Place&& place, Arena& memory) {
  auto* const states = memory.allocate<Scalar*>(static_cast<Index>(segments.size()));
  for (std::size_t i = 0; i < segments.size(); ++i) states[i] = place(*segments[i].state);
  return {states, segments.size()};
}
/// The same for the gradients of States.
template <class Scalar, class State, class Place>
RuleStates<Scalar> rule_states(std::span<State* const> d_states, Place&& place, Arena& memory) {
  auto* const states = memory.allocate<Scalar*>(static_cast<Index>(d_states.size()));
  for (std::size_t i = 0; i < d_states.size(); ++i) states[i] = d_states[i] ? place(*d_states[i]) : nullptr;
  return {states, d_states.size()};
}

/// Those of States whose values begin with what the rule keeps.
template <class Scalar>
RuleStates<Scalar> rule_states(std::span<const Segment<State<Scalar>>> segments, Arena& memory) {
  return rule_states<Scalar>(
      segments, [](State<Scalar>& state) { return state.values.data(); }, memory);
}
template <class Scalar>
RuleStates<Scalar> rule_states(std::span<State<Scalar>* const> d_states, Arena& memory) {
  return rule_states<Scalar>(
      d_states, [](State<Scalar>& state) { return state.values.data(); }, memory);
}

/// Lays out the records of a call.
template <rules::SequenceRule Rule>
std::span<typename Rule::Record> lay_out_records(const Rule& rule, SegmentPlan plan, Index groups, Arena& memory) {
  const Index count = static_cast<Index>(plan.size()) * groups;
  auto* const records = memory.allocate<typename Rule::Record>(count);
  for (Index i = 0; i < count; ++i) {
    const PlannedSegment& segment = plan[static_cast<std::size_t>(i / groups)];
    const auto record = rule.record(segment.position, segment.length, memory);
    if (records) records[i] = record;
  }
  return {records, records ? static_cast<std::size_t>(count) : 0};
}

/// Runs `call.rule` forward: `states` advance, in runs from one segment to the next. `initial(group, state)` assigns
/// the state with which a sequence begins, `views(segment, group)` tells the RuleViews of a PlannedSegment.
template <rules::SequenceRule Rule, class Initial, class Views>
void run_rule(const RuleCall<Rule>& call, RuleStates<typename Rule::Scalar> states, Initial&& initial, Views&& views,
              Context& context) {
  using Scalar = typename Rule::Scalar;
  const Rule& rule = call.rule;
  const auto runs = plan_runs(call.plan, context.scratch());
  const Index tasks = static_cast<Index>(runs.size()) * call.groups;
  const Index work = total_rows(call.plan) * call.groups * rule.token_work();
  context.parallel(tasks, work, [&](Index task, Arena& arena) {
    const SegmentRange run = runs[static_cast<std::size_t>(task / call.groups)];
    const Index group = task % call.groups;
    for (std::size_t i = run.first; i < run.end; ++i) {
      Scalar* const state = states[i] + group * rule.state_size();
      if (call.plan[i].reset) initial(group, state);
      RuleViews<Rule> segment = views(call.plan[i], group);
      segment.input.position = call.plan[i].position;
      const auto record = call.record(i, group);
      if constexpr (rules::TabledRule<Rule>)
        context.call<Rule::forward_kernel, Scalar, &rules::rule_forward<simd::Native, Rule>,
                     decltype(&rules::rule_forward<simd::Native, typename Rule::InTable>)>(rule, segment.input, state,
                                                                                           segment.out, record, arena);
      else
        rule.template forward<simd::Native>(segment.input, state, segment.out, record, arena);
    }
  });
}

/// The same for a rule whose sequences begin with zeros.
template <rules::SequenceRule Rule, class Views>
void run_rule(const RuleCall<Rule>& call, RuleStates<typename Rule::Scalar> states, Views&& views, Context& context) {
  TTT_ASSERT(call.rule.initial_size() == 0, "the rule begins with learned parameters");
  const auto zeros = [&](Index, auto* state) { std::fill_n(state, call.rule.state_size(), typename Rule::Scalar(0)); };
  run_rule(call, states, zeros, views, context);
}

namespace detail {

/// One group of a run of segments, in reverse: turns its part of `d_states` and adds to `sums`, the gradients of the
/// initial state and of what is shared.
template <class Rule, class Views>
void run_rule_backward(const RuleCall<Rule>& call, RuleStates<typename Rule::Scalar> d_states, SegmentRange run,
                       Index group, typename Rule::Scalar* sums, Views&& views, Context& context, Arena& arena) {
  using Scalar = typename Rule::Scalar;
  const Rule& rule = call.rule;
  const auto wanted = [&](std::size_t i) {
    return d_states.empty() || !d_states[i] ? nullptr : d_states[i] + group * rule.state_size();
  };
  const auto d_state = arena.zeros<Scalar>(1, rule.state_size());
  if (const Scalar* given = wanted(run.end - 1)) std::copy_n(given, rule.state_size(), d_state.data());
  for (std::size_t i = run.end; i-- > run.first;) {
    RuleBackwardViews<Rule> segment = views(call.plan[i], group);
    segment.input.position = call.plan[i].position;
    segment.d_input.shared = rule.shared_gradient(sums + rule.initial_size());
    const auto record = call.record(i, group);
    if constexpr (rules::TabledRule<Rule>)
      context.call<Rule::backward_kernel, Scalar, &rules::rule_backward<simd::Native, Rule>,
                   decltype(&rules::rule_backward<simd::Native, typename Rule::InTable>)>(
          rule, segment.input, record, segment.d_out, d_state.data(), segment.d_input, arena);
    else
      rule.template backward<simd::Native>(segment.input, record, segment.d_out, d_state.data(), segment.d_input,
                                           arena);
    if (!call.plan[i].reset) continue;  // else the sequence began here
    kernels::add_scaled<simd::Native>(Scalar(1), d_state.data(), rule.initial_size(), sums);
    fill(d_state, Scalar(0));
  }
  if (Scalar* target = wanted(run.first)) std::copy_n(d_state.data(), rule.state_size(), target);
}

}  // namespace detail

/// Backward of `run_rule`, whose records `call` has: `d_states` go from the gradients of final states to those of
/// initial ones, across the border of two segments that share a State; `views(segment, group)` tells the
/// RuleBackwardViews. What the tasks find out about the initial state and what is shared is summed afterwards, so that
/// the bits do not depend on the threads: `add(group, sums)` is called for the groups in parallel, of each for its
/// sequences in order. Returns all sums [runs · groups × initial_size + shared_size] in scratch.
template <rules::SequenceRule Rule, class Views, class Add>
MatrixView<typename Rule::Scalar> run_rule_backward(const RuleCall<Rule>& call,
                                                    RuleStates<typename Rule::Scalar> d_states, Views&& views,
                                                    Add&& add, Context& context) {
  Arena& scratch = context.scratch();
  const auto runs = plan_runs(call.plan, scratch);
  const auto sums = scratch.zeros<typename Rule::Scalar>(static_cast<Index>(runs.size()) * call.groups,
                                                         call.rule.initial_size() + call.rule.shared_size());
  context.parallel(sums.rows(), [&](Index task, Arena& arena) {
    const SegmentRange run = runs[static_cast<std::size_t>(task / call.groups)];
    detail::run_rule_backward(call, d_states, run, task % call.groups, sums.row(task), views, context, arena);
  });
  context.parallel(call.groups, sums.rows() * sums.columns(), [&](Index group, Arena&) {
    for (Index task = group; task < sums.rows(); task += call.groups) add(group, sums.row(task));
  });
  return sums;
}
/// The same for a rule that learns nothing by itself.
template <rules::SequenceRule Rule, class Views>
void run_rule_backward(const RuleCall<Rule>& call, RuleStates<typename Rule::Scalar> d_states, Views&& views,
                       Context& context) {
  TTT_ASSERT(call.rule.initial_size() + call.rule.shared_size() == 0, "the rule has gradients of its own");
  run_rule_backward(
      call, d_states, views, [](Index, const auto*) {}, context);
}

TTT_NAMESPACE_END
