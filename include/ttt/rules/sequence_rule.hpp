// SPDX-License-Identifier: MIT
/// @file
/// The concept that every recurrence models.
///
/// A **rule** reads the tokens of one group (a head, some channels) of one sequence, with views of what the projections
/// made of them: it knows no Context, no Segment and no parameters but those it is told. A rule is a small value, its
/// sizes; the state of a group is `state_size()` Scalars in one piece.
///
/// - `Input` is what a call reads (a RuleInput): what all tokens of the group share, a row for each token, and the
///   position of the first in its sequence. `InputGradient` has the same places. A rule that shares nothing has
///   NothingShared.
/// - `forward<Arch>(input, state, out, record, scratch)` reads T ≥ 0 tokens, in whatever form is fastest for so many:
///   `state` advances, out [T × …] is assigned. Fills `record` unless it is empty (`Record{}`).
/// - `primal<Arch>(input, state, out, scratch)` does the same token after token, as it was published: the reference.
/// - `backward<Arch>(input, record, d_out, d_state, d_input, scratch)`, from the record a forward filled: the gradient
///   of the final state in `d_state` becomes that of the initial one, the rows of `d_input` are assigned, what is
///   shared accumulates. The record stays as it is.
/// - `record(position, tokens, memory)` lays out what a forward of so many tokens leaves for its backward: on an arena
///   that only counts, its size.
/// - `initial_size()`: so many Scalars of a state, the first, come from learned parameters when a sequence begins; the
///   others begin at zero. `shared_size()`: Scalars of the gradient of what is shared, which `shared_gradient(data)`
///   views.
/// - `token_work()`: about how many multiply-adds a token takes.
///
/// Rows are row-major with any stride, a state is contiguous, outputs overlap nothing that is read. Nothing but scratch
/// is allocated, and nothing is thrown. Cost per token does not depend on the position.
///
/// Invariants no compiler sees, and which tests/suites/sequence_rule.hpp checks: `forward` is `primal`, both are the
/// formula; any pieces one after another give the outputs, state and gradients of one call; gradients are exact; a
/// token changes no bit of the outputs before it, not even as a NaN; decays of any strength leave finite numbers.
///
/// A rule of the library runs in the instruction set of a kernel table: it names its kernels (`forward_kernel`,
/// `backward_kernel`) and the rule whose functions a table holds for it (`InTable`, to which it converts: what it knows
/// at compile time, that one knows at run time), and stands in the list of dispatch/rules.hpp, as the suite checks. A
/// rule without these names runs as it was compiled.
///
/// Models: TttSequence<TttLinear>, TttSequence<TttMlp>, Delta, SelectiveScan,
/// LargeChunk. The driver that runs one over the
/// segments and groups of a call is layers/run_rule.hpp.
#pragma once

#include <concepts>
#include <cstdint>

#include "ttt/core/kernel_table.hpp"
#include "ttt/kernels/simd.hpp"
#include "ttt/rules/sequence_rule/checkpoints.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What a call reads, or the gradient of that, where the position means nothing.
template <class Shared, class Rows>
struct RuleInput {
  Shared shared;  ///< by all tokens of the group
  Rows rows;      ///< one for each token; `rows.rows(first, count)` are some of them
  std::int64_t position = 0;

  RuleInput piece(Index first, Index count) const { return {shared, rows.rows(first, count), position + first}; }
};

/// Stands where all that a rule reads are rows.
struct NothingShared {};

template <class Rule>
concept SequenceRule = std::copyable<Rule> && std::default_initializable<typename Rule::Record> &&
    requires(const Rule& rule, const typename Rule::Input& input, const typename Rule::InputGradient& d_input,
             typename Rule::Scalar* state, MatrixView<const typename Rule::Scalar> d_out,
             MatrixView<typename Rule::Scalar> out, const typename Rule::Record& record, std::int64_t position,
             Index count, Arena& memory) {
  { rule.state_size() } -> std::same_as<Index>;
  { rule.initial_size() } -> std::same_as<Index>;
  { rule.shared_size() } -> std::same_as<Index>;
  { rule.token_work() } -> std::same_as<Index>;
  { rule.shared_gradient(state) } -> std::same_as<decltype(d_input.shared)>;
  { rule.record(position, count, memory) } -> std::same_as<typename Rule::Record>;
  { input.piece(count, count) } -> std::same_as<typename Rule::Input>;
  rule.template forward<simd::Native>(input, state, out, record, memory);
  rule.template primal<simd::Native>(input, state, out, memory);
  rule.template backward<simd::Native>(input, record, d_out, state, d_input, memory);
};

/// A rule of which kernel tables have the functions.
template <class Rule>
concept TabledRule = SequenceRule<Rule> && SequenceRule<typename Rule::InTable> &&
    std::convertible_to<Rule, typename Rule::InTable> && requires {
  { Rule::forward_kernel } -> std::convertible_to<KernelId>;
  { Rule::backward_kernel } -> std::convertible_to<KernelId>;
};

/// The functions as a table has them.
template <class Arch, class Rule>
void rule_forward(Rule rule, const typename Rule::Input& input, typename Rule::Scalar* state,
                  MatrixView<typename Rule::Scalar> out, const typename Rule::Record& record, Arena& scratch) {
  rule.template forward<Arch>(input, state, out, record, scratch);
}
template <class Arch, class Rule>
void rule_backward(Rule rule, const typename Rule::Input& input, const typename Rule::Record& record,
                   MatrixView<const typename Rule::Scalar> d_out, typename Rule::Scalar* d_state,
                   const typename Rule::InputGradient& d_input, Arena& scratch) {
  rule.template backward<Arch>(input, record, d_out, d_state, d_input, scratch);
}

}  // namespace rules

TTT_NAMESPACE_END
