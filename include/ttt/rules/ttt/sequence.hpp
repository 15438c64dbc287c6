// SPDX-License-Identifier: MIT
/// @file
/// One head of one sequence through any TTT rule: mini-batch after mini-batch, forward and backward.
///
/// A **TttRule** knows one mini-batch: `learn` takes the keys of a part of it into the state and computes their inner
/// gradients, `apply` answers the queries, `fold` moves the weights at its end, `primal` does all three token by token,
/// `learn_again` brings back what `learn` did from the z it left, `backward` is the adjoint of a part. Its models:
/// rules::TttLinear, rules::TttMlp.
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
  Index kept_width = 0;  ///< columns of z: D, or 0

  Index count(const PartList& parts) const { return (parts.size() + interval - 1) / interval; }
  Index size(const PartList& parts) const { return offset(count(parts)) + 2 * parts.rows() * kept_width; }
  Scalar* at(Index group) const { return data + offset(group); }
  TttPreNorm<Scalar> z(const PartList& parts) const {
    const MatrixView<Scalar> both(at(count(parts)), 2 * parts.rows(), kept_width);
    return {both.rows(0, parts.rows()), both.rows(parts.rows(), parts.rows())};
  }

 private:
  Index offset(Index group) const { return group == 0 ? 0 : state_size + (group - 1) * weight_size; }
};

/// Mean inner losses of `rows` with W₀ (`initial`, laid out as the state), before the part and after its last token.
template <class Arch, class Rule, class Scalar = typename Rule::Scalar>
PartLoss part_loss(const Rule& rule, const TttHead<Scalar>& head, const Scalar* initial, Scalar* before,
                   MiniBatchPart part, const TttRows<const Scalar>& rows, Arena& scratch) {
  const Arena::Frame frame(scratch);
  Scalar* copy_of_state = scratch.allocate<Scalar>(rule.state_size());
  const auto z = scratch.matrix<Scalar>(part.count, rule.head_width());
  const auto loss = [&](Scalar* state) {
    rule.template model<Arch>(rule.state(state), rows.keys, z, scratch);
    return inner_loss<Arch, Scalar>(head.norm, z, rows.keys, rows.values, scratch);
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
  const bool keeps = checkpoints.data != nullptr, keeps_z = keeps && checkpoints.kept_width > 0;
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

/// Backward of `forward_sequence`, from the checkpoints it left. `d_state_data` goes from the gradient of the final
/// state to that of the initial one; `d_rows` [T × D] are assigned, `d_head` accumulates. What lies between checkpoints
/// is brought back once: the states of their parts, rows learned again, and what that leaves are held for the way back.
template <class Arch, class Rule, class Scalar = typename Rule::Scalar>
void backward_sequence(Rule rule, const TttHead<Scalar>& head, const PartList& parts, const TttRows<const Scalar>& rows,
                       MatrixView<const Scalar> d_out, TttCheckpoints<Scalar> checkpoints, Scalar* d_state_data,
                       const TttRows<Scalar>& d_rows, const TttHeadGradient<Scalar>& d_head, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto d_state = rule.state(d_state_data);
  const TttPreNorm<Scalar> z = checkpoints.z(parts);
  const Index most = std::min(checkpoints.interval, parts.size());
  auto* states = scratch.allocate<typename Rule::State>(most);
  auto* kept = scratch.allocate<typename Rule::Kept>(most);
  auto* memory = scratch.allocate<Scalar*>(most);
  for (Index i = 0; i < most; ++i) {
    memory[i] = scratch.allocate<Scalar>(rule.state_size());
    states[i] = rule.state(memory[i]);
    kept[i] = rule.keep(scratch);
  }
  const auto rows_of = [&](Index i) { return rows.part(parts.row(i), parts[i].count); };
  const auto z_of = [&](Index i) { return z.part(parts.row(i), parts[i].count); };

  for (Index group = checkpoints.count(parts) - 1; group >= 0; --group) {
    const Index first = group * checkpoints.interval, last = std::min(first + checkpoints.interval, parts.size());
    // Before the first part the checkpoint also has the rows that were open already.
    std::copy_n(checkpoints.at(group), group == 0 ? rule.state_size() : rule.weight_size(), memory[0]);
    for (Index i = first; i < last; ++i) {
      const Index place = i - first;
      rule.template learn_again<Arch>(head, states[place], parts[i], rows_of(i), z_of(i).keys, kept[place], scratch);
      if (i + 1 < last) rule.template fold<Arch>(head, states[place], rule.mini_batch(), states[place + 1], scratch);
    }
    for (Index i = last - 1; i >= first; --i) {
      const MiniBatchPart part = parts[i];
      // A closed mini-batch's rows are constant zeros; the backward of a whole one leaves them so.
      const bool ends = part.end() == rule.mini_batch();
      if (ends && (i + 1 == parts.size() || parts[i + 1].end() != rule.mini_batch())) d_state.close();
      rule.template backward<Arch>(head, states[i - first], kept[i - first], part, rows_of(i), z_of(i),
                                   d_out.rows(parts.row(i), part.count), d_state, d_rows.part(parts.row(i), part.count),
                                   d_head, scratch);
    }
  }
}

}  // namespace rules

TTT_NAMESPACE_END
