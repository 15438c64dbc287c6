// SPDX-License-Identifier: MIT
/// @file
/// What a TTT rule does with a mini-batch, and how a sequence falls into parts of them.
///
/// A **TttRule** knows one mini-batch, or a part of one:
///
/// - `state(weights, rows)` views a State, whose weights come first where it lies in one piece; `weight_size()` and
///   `state_size()` tell its Scalars, `fast_weights(heads)` the learned tensors W₀ it starts from. Behind the weights
///   are tables of K rows, of `row_widths()` each: a token of the open mini-batch writes its own.
/// - `learn` takes the keys of a part into the state and computes their inner gradients, `apply` answers the queries,
///   if there are any, `fold` moves the weights at the mini-batch's end; `primal` does all three token by token, as a
///   reference. Both leave z, what the inner norm got; `model` is z with the weights as they are.
/// - `backward` is the adjoint of a part, after `learn_again` has brought back what `learn` did: from z if the rule has
///   it kept (`z_width()` columns of it), and with what `keep` gives memory for.
///
/// Its models: rules::TttLinear, rules::TttMlp. TttSequence makes a SequenceRule of one.
#pragma once

#include "ttt/rules/ttt/head.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Which of two equal computations runs the inner loop; gradients are the same.
enum class TttForm {
  dual,   ///< a mini-batch at once
  primal  ///< token after token, every W(r) spelled out: the reference
};

/// Inner losses of one part, for statistics.
struct PartLoss {
  double at_initial = 0, before_update = 0, after_update = 0;
};

/// Mean over the rows of ½‖LN(z) − (v − k)‖².
template <class Arch, class Scalar>
double inner_loss(const kernels::NormRows<Scalar>& norm, MatrixView<const Scalar> z, const TttRows<const Scalar>& rows,
                  Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index width = z.columns();
  Scalar* const target = scratch.allocate<Scalar>(width);
  double sum = 0;
  for (Index r = 0; r < z.rows(); ++r) {
    for (Index c = 0; c < width; ++c) target[c] = rows.values(r, c) - rows.keys(r, c);
    sum += static_cast<double>(
        kernels::layer_norm_l2_loss_row<Arch>(z.row(r), target, norm.weight, norm.bias, width, norm.epsilon));
  }
  return sum / static_cast<double>(z.rows());
}

/// Mean inner losses of `rows` with W₀ (`initial`, laid out as the state), before the part and after its last token.
template <class Arch, class Rule, class Scalar = typename Rule::Scalar>
PartLoss part_loss(const Rule& rule, const TttHead<Scalar>& head, const Scalar* initial, Scalar* before,
                   MiniBatchPart part, const TttRows<const Scalar>& rows, Arena& scratch) {
  const Arena::Frame frame(scratch);
  Scalar* copy_of_state = scratch.allocate<Scalar>(rule.state_size());
  const auto z = scratch.matrix<Scalar>(part.count, rule.head_width());
  const auto loss = [&](Scalar* state) {
    rule.template model<Arch>(rule.state(state), rows.keys, z, scratch);
    return inner_loss<Arch, Scalar>(head.norm, z, rows, scratch);
  };
  PartLoss result;
  result.before_update = loss(before);
  std::copy_n(before, rule.state_size(), copy_of_state);
  const auto after = rule.state(copy_of_state);
  rule.template learn<Arch>(head, after, part, rows, z, scratch);
  rule.template fold<Arch>(head, after, part.end(), after, scratch);
  result.after_update = loss(copy_of_state);
  std::copy_n(initial, rule.weight_size(), copy_of_state);
  result.at_initial = loss(copy_of_state);
  return result;
}

/// Reads one part: learn, apply, and fold when it ends its mini-batch. Without queries the answers are the predictions
/// that were made to learn.
template <class Arch, class Rule, class Scalar = typename Rule::Scalar>
void forward_part(const Rule& rule, TttForm form, const TttHead<Scalar>& head, const typename Rule::State& state,
                  MiniBatchPart part, const TttRows<const Scalar>& rows, const TttPreNorm<Scalar>& z,
                  MatrixView<Scalar> out, Arena& scratch) {
  const bool simplified = head.order == TttOrder::simplified;
  if (form == TttForm::primal) {
    rule.template primal<Arch>(head, state, part, rows, z, out, scratch);
  } else {
    rule.template learn<Arch>(head, state, part, rows, z.keys, scratch);
    if (!simplified) rule.template apply<Arch>(head, state, part, rows.queries, z.queries, out, scratch);
    if (part.end() == rule.mini_batch()) rule.template fold<Arch>(head, state, rule.mini_batch(), state, scratch);
  }
  if (simplified) kernels::residual_norm_rows<Arch, Scalar>(head.norm, rows.keys, z.keys, out);
}

}  // namespace rules

TTT_NAMESPACE_END
