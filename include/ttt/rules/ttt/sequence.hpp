// SPDX-License-Identifier: MIT
/// @file
/// One head of one sequence through any TTT rule: mini-batch after mini-batch, forward and backward.
#pragma once

#include "ttt/rules/sequence_rule.hpp"
#include "ttt/rules/ttt/mini_batch.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What a forward leaves, and for whom; nothing is left where the pointers are null.
template <class Scalar>
struct TttSequenceRecord {
  Scalar* checkpoints = nullptr;    ///< for the backward, a TttCheckpoints
  PartLoss* losses = nullptr;       ///< for statistics, of each part
  const Scalar* initial = nullptr;  ///< W₀ of the losses, laid out as in the state
};

/// Where a forward leaves what its backward starts from: the head's whole state before the first part, then the fast
/// weights before every `interval`-th part, then, for a rule that keeps it, z of every key and query.
template <class Scalar>
struct TttCheckpoints {
  Scalar* data = nullptr;
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
      rule_.template learn_again<Arch>(head, states_[i], part, rows.rows(row, part.count), z.part(row, part.count).keys,
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

/// A TTT rule over any number of tokens of one head. Models SequenceRule; a state begins with the learned W₀.
template <class Rule>
class TttSequence {
 public:
  using Scalar = typename Rule::Scalar;
  using Input = RuleInput<TttHead<Scalar>, TttRows<const Scalar>>;
  using InputGradient = RuleInput<TttHeadGradient<Scalar>, TttRows<Scalar>>;
  using Record = TttSequenceRecord<Scalar>;

  using InTable = TttSequence<typename Rule::AnySize>;
  static constexpr KernelId forward_kernel = Rule::forward_kernel;
  static constexpr KernelId backward_kernel = Rule::backward_kernel;

  /// Mini-batches from fast weights that are kept for a backward to the next.
  explicit TttSequence(const Rule& rule, TttForm form = TttForm::dual, Index checkpoint_interval = 4)
      : rule_(rule), form_(form), checkpoint_interval_(checkpoint_interval) {}
  operator InTable() const requires(!std::same_as<TttSequence, InTable>) {
    return InTable(rule_, form_, checkpoint_interval_);
  }

  const Rule& rule() const { return rule_; }
  PartList parts(std::int64_t position, Index tokens) const { return {position, tokens, rule_.mini_batch()}; }

  Index state_size() const { return rule_.state_size(); }
  Index initial_size() const { return rule_.weight_size(); }
  Index shared_size() const { return 2 * rule_.head_width() + rule_.mini_batch(); }
  Index token_work() const { return rule_.weight_size(); }
  /// Of the norm's weight and bias, then of the position factors.
  TttHeadGradient<Scalar> shared_gradient(Scalar* data) const {
    const Index width = rule_.head_width();
    return {{data, data + width}, {data + 2 * width, rule_.mini_batch()}};
  }
  Record record(std::int64_t position, Index tokens, Arena& memory) const {
    return {memory.allocate<Scalar>(checkpoints(nullptr).size(parts(position, tokens)))};
  }

  template <class Arch>
  void forward(const Input& input, Scalar* state, MatrixView<Scalar> out, const Record& record, Arena& scratch) const;
  template <class Arch>
  void primal(const Input& input, Scalar* state, MatrixView<Scalar> out, Arena& scratch) const {
    TttSequence(rule_, TttForm::primal).template forward<Arch>(input, state, out, {}, scratch);
  }
  /// What lies between checkpoints is brought back once.
  template <class Arch>
  void backward(const Input& input, const Record& record, MatrixView<const Scalar> d_out, Scalar* d_state_data,
                const InputGradient& d_input, Arena& scratch) const;

 private:
  TttCheckpoints<Scalar> checkpoints(Scalar* data) const {
    return {data, checkpoint_interval_, rule_.state_size(), rule_.weight_size(), rule_.z_width()};
  }

  [[no_unique_address]] Rule rule_;
  TttForm form_;
  Index checkpoint_interval_;
};

template <class Rule>
template <class Arch>
void TttSequence<Rule>::forward(const Input& input, Scalar* state_data, MatrixView<Scalar> out, const Record& record,
                                Arena& scratch) const {
  const Arena::Frame frame(scratch);
  const PartList parts = this->parts(input.position, out.rows());
  const auto state = rule_.state(state_data);
  const auto checkpoints = this->checkpoints(record.checkpoints);
  const bool keeps = checkpoints.data != nullptr, keeps_z = keeps && checkpoints.z_width > 0;
  const auto room = [&] { return scratch.matrix<Scalar>(rule_.mini_batch(), rule_.head_width()); };
  const TttPreNorm<Scalar> z = keeps_z ? checkpoints.z(parts) : TttPreNorm<Scalar>{room(), room()};
  for (Index i = 0; i < parts.size(); ++i) {
    const MiniBatchPart part = parts[i];
    const TttRows<const Scalar> rows = input.rows.rows(parts.row(i), part.count);
    if (keeps && i % checkpoints.interval == 0)
      std::copy_n(state_data, i == 0 ? rule_.state_size() : rule_.weight_size(),
                  checkpoints.at(i / checkpoints.interval));
    if (record.losses)
      record.losses[i] = part_loss<Arch>(rule_, input.shared, record.initial, state_data, part, rows, scratch);
    forward_part<Arch>(rule_, form_, input.shared, state, part, rows, z.part(keeps_z ? parts.row(i) : 0, part.count),
                       out.rows(parts.row(i), part.count), scratch);
    const bool all_rows_follow = i + 1 < parts.size() && parts[i + 1].count == rule_.mini_batch();
    if (part.end() == rule_.mini_batch() && !all_rows_follow) state.close();
  }
}

template <class Rule>
template <class Arch>
void TttSequence<Rule>::backward(const Input& input, const Record& record, MatrixView<const Scalar> d_out,
                                 Scalar* d_state_data, const InputGradient& d_input, Arena& scratch) const {
  const Arena::Frame frame(scratch);
  const PartList parts = this->parts(input.position, d_out.rows());
  const auto checkpoints = this->checkpoints(record.checkpoints);
  const auto d_state = rule_.state(d_state_data);
  const TttPreNorm<Scalar> z = checkpoints.z(parts);
  TttGroup<Rule> group(rule_, std::min(checkpoints.interval, parts.size()), scratch);

  for (Index g = checkpoints.count(parts) - 1; g >= 0; --g) {
    const Index first = g * checkpoints.interval, last = std::min(first + checkpoints.interval, parts.size()) - 1;
    group.template bring_back<Arch>(input.shared, parts, first, last, checkpoints.at(g), input.rows, z, scratch);
    for (Index i = last; i >= first; --i) {
      const MiniBatchPart part = parts[i];
      const Index row = parts.row(i);
      // A closed mini-batch's rows are constant zeros; the backward of a whole one leaves them so.
      const bool ends = part.end() == rule_.mini_batch();
      if (ends && (i + 1 == parts.size() || parts[i + 1].end() != rule_.mini_batch())) d_state.close();
      rule_.template backward<Arch>(input.shared, group.state(i - first), group.kept(i - first), part,
                                    input.rows.rows(row, part.count), z.part(row, part.count),
                                    d_out.rows(row, part.count), d_state, d_input.rows.rows(row, part.count),
                                    d_input.shared, scratch);
    }
  }
}

}  // namespace rules

TTT_NAMESPACE_END
