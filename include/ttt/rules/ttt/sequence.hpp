// SPDX-License-Identifier: MIT
/// @file
/// One head of one sequence through any TTT rule: mini-batch after mini-batch, forward and backward.
///
/// A **TttRule** knows one mini-batch, or a part of one:
///
/// - `state(weights, rows)` views a State, whose weights come first where it lies in one piece; `weight_size()` and
///   `state_size()` tell its Scalars, `fast_weights(heads)` the learned tensors W₀ it starts from.
/// - `learn` takes the keys of a part into the state and computes their inner gradients, `apply` answers the queries,
///   `fold` moves the weights at the mini-batch's end; `primal` does all three token by token, as a reference. Both
///   leave z, what the inner norm got; `model` is z with the weights as they are.
/// - `backward` is the adjoint of a part, after `learn_again` has brought back what `learn` did: from z if the rule has
///   it kept (`z_width()` columns of it), and with what `keep` gives memory for.
///
/// Its models: rules::TttLinear, rules::TttMlp.
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

/// The parts of mini-batches into which a piece of `length` tokens falls when `phase` tokens of one are read already.
class PartList {
 public:
  PartList(Index phase, Index length, Index mini_batch) : phase_(phase), length_(length), mini_batch_(mini_batch) {}

  Index rows() const { return length_; }
  Index size() const { return length_ == 0 ? 0 : (phase_ + length_ + mini_batch_ - 1) / mini_batch_; }
  MiniBatchPart operator[](Index i) const {
    const Index begin = i == 0 ? phase_ : 0, end = std::min(mini_batch_, phase_ + length_ - i * mini_batch_);
    return {begin, end - begin};
  }
  /// Row of the piece where part i starts.
  Index row(Index i) const { return i == 0 ? 0 : i * mini_batch_ - phase_; }

 private:
  Index phase_, length_, mini_batch_;
};

/// Where a forward leaves what its backward starts from: the head's whole state before the first part, then the fast
/// weights before every `interval`-th part, then, for a rule that keeps it, z of every key and query.
template <class Scalar>
struct TttCheckpoints {
  Scalar* data = nullptr;  ///< null: nothing is kept
  Index interval = 1;
  Index state_size = 0, weight_size = 0;
  Index z_width = 0;  ///< columns of z: D, or 0

  Index count(const PartList& parts) const { return (parts.size() + interval - 1) / interval; }
  Index size(const PartList& parts) const { return offset(count(parts)) + 2 * parts.rows() * z_width; }
  Scalar* at(Index group) const { return data + offset(group); }
  TttPreNorm<Scalar> z(const PartList& parts) const {
    const MatrixView<Scalar> both(at(count(parts)), 2 * parts.rows(), z_width);
    return {both.rows(0, parts.rows()), both.rows(parts.rows(), parts.rows())};
  }

 private:
  Index offset(Index group) const { return group == 0 ? 0 : state_size + (group - 1) * weight_size; }
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

/// Reads one part: learn, apply, and fold when it ends its mini-batch.
template <class Arch, class Rule, class Scalar = typename Rule::Scalar>
void forward_part(const Rule& rule, TttForm form, const TttHead<Scalar>& head, const typename Rule::State& state,
                  MiniBatchPart part, const TttRows<const Scalar>& rows, const TttPreNorm<Scalar>& z,
                  MatrixView<Scalar> out, Arena& scratch) {
  if (form == TttForm::primal) return rule.template primal<Arch>(head, state, part, rows, z, out, scratch);
  rule.template learn<Arch>(head, state, part, rows, z.keys, scratch);
  rule.template apply<Arch>(head, state, part, rows.queries, z.queries, out, scratch);
  if (part.end() == rule.mini_batch()) rule.template fold<Arch>(head, state, rule.mini_batch(), state, scratch);
}

/// Reads a piece of T tokens: `state_data` holds the head's state and is advanced, rows and out are [T × D]. Fills
/// `checkpoints` when it has memory, and `losses` (one per part, against W₀ in `initial`) when it is not null.
template <class Arch, class Rule, class Scalar = typename Rule::Scalar>
void forward_sequence(Rule rule, TttForm form, const TttHead<Scalar>& head, Scalar* state_data, const PartList& parts,
                      const TttRows<const Scalar>& rows, MatrixView<Scalar> out, TttCheckpoints<Scalar> checkpoints,
                      const Scalar* initial, PartLoss* losses, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto state = rule.state(state_data);
  const bool keeps = checkpoints.data != nullptr, keeps_z = keeps && checkpoints.z_width > 0;
  const auto room = [&] { return scratch.matrix<Scalar>(rule.mini_batch(), rule.head_width()); };
  const TttPreNorm<Scalar> z = keeps_z ? checkpoints.z(parts) : TttPreNorm<Scalar>{room(), room()};
  for (Index i = 0; i < parts.size(); ++i) {
    const MiniBatchPart part = parts[i];
    const TttRows<const Scalar> part_rows = rows.part(parts.row(i), part.count);
    if (keeps && i % checkpoints.interval == 0)
      std::copy_n(state_data, i == 0 ? rule.state_size() : rule.weight_size(),
                  checkpoints.at(i / checkpoints.interval));
    if (losses) losses[i] = part_loss<Arch>(rule, head, initial, state_data, part, part_rows, scratch);
    forward_part<Arch>(rule, form, head, state, part, part_rows, z.part(keeps_z ? parts.row(i) : 0, part.count),
                       out.rows(parts.row(i), part.count), scratch);
    const bool all_rows_follow = i + 1 < parts.size() && parts[i + 1].count == rule.mini_batch();
    if (part.end() == rule.mini_batch() && !all_rows_follow) state.close();
  }
}

/// The parts from one checkpoint to the next on the way back: their states, rows learned, and what a rule keeps of
/// that.
template <class Rule>
class TttGroup {
 public:
  using Scalar = typename Rule::Scalar;
  using Rows = TttRows<const Scalar>;

  /// Room for `most` parts.
  TttGroup(const Rule& rule, Index most, Arena& scratch)
      : rule_(rule),
        states_(scratch.allocate<typename Rule::State>(most)),
        kept_(scratch.allocate<typename Rule::Kept>(most)),
        first_rows_(scratch.allocate<Scalar>(row_size())) {
    for (Index i = 0; i < most; ++i) {
      if (i > 0) states_[i] = rule.state(scratch.allocate<Scalar>(rule.state_size()));
      kept_[i] = rule.keep(scratch);
    }
  }

  const typename Rule::State& state(Index i) const { return states_[i]; }
  const typename Rule::Kept& kept(Index i) const { return kept_[i]; }

  /// Learns parts [first, last] again. The weights of the first stay where they are in the checkpoint, which is only
  /// read; the checkpoint of part 0 has the rows of the mini-batch that was open as well.
  template <class Arch>
  void bring_back(const TttHead<Scalar>& head, const PartList& parts, Index first, Index last, Scalar* checkpoint,
                  const Rows& rows, const TttPreNorm<Scalar>& z, Arena& scratch) {
    states_[0] = rule_.state(checkpoint, first_rows_);
    if (first == 0) std::copy_n(checkpoint + rule_.weight_size(), row_size(), first_rows_);
    for (Index i = 0; i <= last - first; ++i) {
      const MiniBatchPart part = parts[first + i];
      const Index row = parts.row(first + i);
      rule_.template learn_again<Arch>(head, states_[i], part, rows.part(row, part.count), z.part(row, part.count).keys,
                                       kept_[i], scratch);
      if (first + i < last) rule_.template fold<Arch>(head, states_[i], rule_.mini_batch(), states_[i + 1], scratch);
    }
  }

 private:
  Index row_size() const { return rule_.state_size() - rule_.weight_size(); }

  const Rule& rule_;
  typename Rule::State* states_;
  typename Rule::Kept* kept_;
  Scalar* first_rows_;
};

/// Backward of `forward_sequence`, from the checkpoints it left. `d_state_data` goes from the gradient of the final
/// state to that of the initial one; `d_rows` [T × D] are assigned, `d_head` accumulates. What lies between checkpoints
/// is brought back once.
template <class Arch, class Rule, class Scalar = typename Rule::Scalar>
void backward_sequence(Rule rule, const TttHead<Scalar>& head, const PartList& parts, const TttRows<const Scalar>& rows,
                       MatrixView<const Scalar> d_out, TttCheckpoints<Scalar> checkpoints, Scalar* d_state_data,
                       const TttRows<Scalar>& d_rows, const TttHeadGradient<Scalar>& d_head, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto d_state = rule.state(d_state_data);
  const TttPreNorm<Scalar> z = checkpoints.z(parts);
  TttGroup<Rule> group(rule, std::min(checkpoints.interval, parts.size()), scratch);

  for (Index g = checkpoints.count(parts) - 1; g >= 0; --g) {
    const Index first = g * checkpoints.interval, last = std::min(first + checkpoints.interval, parts.size()) - 1;
    group.template bring_back<Arch>(head, parts, first, last, checkpoints.at(g), rows, z, scratch);
    for (Index i = last; i >= first; --i) {
      const MiniBatchPart part = parts[i];
      const Index row = parts.row(i);
      // A closed mini-batch's rows are constant zeros; the backward of a whole one leaves them so.
      const bool ends = part.end() == rule.mini_batch();
      if (ends && (i + 1 == parts.size() || parts[i + 1].end() != rule.mini_batch())) d_state.close();
      rule.template backward<Arch>(head, group.state(i - first), group.kept(i - first), part,
                                   rows.part(row, part.count), z.part(row, part.count), d_out.rows(row, part.count),
                                   d_state, d_rows.part(row, part.count), d_head, scratch);
    }
  }
}

}  // namespace rules

TTT_NAMESPACE_END
