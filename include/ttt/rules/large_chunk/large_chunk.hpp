// SPDX-License-Identifier: MIT
/// @file
/// Test-time training in large chunks (LaCT: Zhang et al. 2025, "Test-Time Training Done Right", arXiv 2505.23884):
///
///     o_t = f_W(q_t)                                for all tokens of a chunk, with the W of its beginning
///     S   = Σ_t η_t ∇_W (f_W(k_t) · v_t)            at the same W; then, before the next chunk's first token,
///     G   = S + m̄ M,   M = G,   U = G or NS(G)      momentum, and the orthogonal step of Muon
///     W   ← (W + U) ∘ ρ / ‖W + U‖                   each column gets back the length it had in the beginning
///
/// An open chunk needs no key and no value: its steps are summed as they come. A chunk is ended by the token behind it,
/// so that the last one of a sequence costs no step, and up to K tokens leave W as it is.
///
/// An **InnerModel** f knows its `Matrices`, the `shape` of each, `token` and `chunk`, which answer and
/// add the steps up, and `backward`. Its models: InnerSwiglu, InnerLinear.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ttt/rules/large_chunk/chunk_end.hpp"
#include "ttt/rules/large_chunk/inner_linear.hpp"
#include "ttt/rules/large_chunk/inner_swiglu.hpp"
#include "ttt/rules/sequence_rule.hpp"
#include "ttt/rules/sequence_rule/part_list.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What is made of the sum of a chunk's steps.
enum class ChunkStep {
  plain,     ///< U = S
  momentum,  ///< U = S + m̄ M
  muon       ///< U = NS(S + m̄ M)
};
inline constexpr std::array<std::string_view, 3> names_of(ChunkStep) { return {"plain", "momentum", "muon"}; }

/// Fewer tokens are read one by one.
inline constexpr Index large_chunk_few_tokens = 4;

/// An inner model that learns in large chunks. A state begins with the learned W. Models SequenceRule.
template <class InnerModel>
class LargeChunk {
 public:
  using Scalar = typename InnerModel::Scalar;
  using Input = RuleInput<NothingShared, LargeChunkRows<const Scalar>>;
  using InputGradient = RuleInput<NothingShared, LargeChunkRows<Scalar>>;
  using Record = Checkpoints<Scalar>;
  using Matrices = typename InnerModel::Matrices;

  using InTable = LargeChunk;
  static constexpr KernelId forward_kernel = InnerModel::forward_kernel;
  static constexpr KernelId backward_kernel = InnerModel::backward_kernel;

  /// Chunks of K tokens; with `keeps_lengths` columns are scaled; parts of chunks from one state that is kept for a
  /// backward to the next.
  LargeChunk(const InnerModel& model, Index chunk, ChunkStep step, bool keeps_lengths = true,
             Index checkpoint_interval = 4)
      : model_(model),
        chunk_(chunk),
        step_(step),
        keeps_lengths_(keeps_lengths),
        checkpoint_interval_(checkpoint_interval) {}

  const InnerModel& model() const { return model_; }
  Index chunk() const { return chunk_; }
  bool has_momentum() const { return step_ != ChunkStep::plain; }

  Index state_size() const { return state(nullptr).end; }
  /// Scalars of all matrices.
  Index initial_size() const {
    Index size = 0;
    for (std::size_t i = 0; i < std::tuple_size_v<Matrices>; ++i) size += model_.shape(i)[0] * model_.shape(i)[1];
    return size;
  }
  Index shared_size() const { return 0; }
  Index token_work() const { return model_.token_work(); }
  NothingShared shared_gradient(Scalar*) const { return {}; }
  Record record(std::int64_t position, Index tokens, Arena& memory) const {
    return {1, state_size(), parts(position, tokens).size(), checkpoint_interval_, memory};
  }

  template <class Arch>
  void forward(const Input& input, Scalar* state, MatrixView<Scalar> out, const Record& record, Arena& scratch) const {
    const PartList parts = this->parts(input.position, out.rows());
    for (Index i = 0; i < parts.size(); ++i) {
      record.template keep<Arch>(i, MatrixView<const Scalar>(state, 1, state_size()));
      const Index row = parts.row(i), count = parts[i].count;
      open<Arch>(input.position + row, state, scratch);
      read<Arch>(input.rows.rows(row, count), state, out.rows(row, count), scratch);
    }
  }
  template <class Arch>
  void primal(const Input& input, Scalar* state, MatrixView<Scalar> out, Arena& scratch) const {
    for (Index t = 0; t < out.rows(); ++t) {
      open<Arch>(input.position + t, state, scratch);
      read<Arch>(input.rows.rows(t, 1), state, out.rows(t, 1), scratch);
    }
  }
  /// States between those that were kept are brought back once.
  template <class Arch>
  void backward(const Input& input, const Record& record, MatrixView<const Scalar> d_out, Scalar* d_state,
                const InputGradient& d_input, Arena& scratch) const;

 private:
  /// The state at `data`: weights, then momentum and sums of all matrices, then their lengths and Σ m of the chunk.
  struct State {
    Matrices matrices;
    MatrixView<Scalar> momentum;  ///< Σ m [1 × 1]; empty without momentum
    Index end = 0;                ///< Scalars
  };
  State state(Scalar* data) const;
  PartList parts(std::int64_t position, Index tokens) const { return {position, tokens, chunk_}; }
  static auto chunk_mean(const State& state, Index chunk) {
    return state.momentum.empty() ? Scalar(0) : state.momentum(0, 0) / static_cast<Scalar>(chunk);
  }

  /// Before a token at `position`: where a sequence begins, columns are measured; where a chunk does, the one before
  /// ends.
  template <class Arch>
  void open(std::int64_t position, Scalar* data, Arena& scratch) const;
  /// The adjoint of `open` for the state before.
  template <class Arch>
  void open_backward(std::int64_t position, Scalar* before, Scalar* d_data, Arena& scratch) const;
  /// Tokens of one chunk. `out` may be empty: not wanted.
  template <class Arch>
  void read(const LargeChunkRows<const Scalar>& rows, Scalar* data, MatrixView<Scalar> out, Arena& scratch) const;

  InnerModel model_;
  Index chunk_;
  ChunkStep step_;
  bool keeps_lengths_;
  Index checkpoint_interval_;
};

template <class InnerModel>
auto LargeChunk<InnerModel>::state(Scalar* data) const -> State {
  State state;
  const auto take = [&](Index rows, Index columns) {
    const Index first = std::exchange(state.end, state.end + rows * columns);
    return MatrixView<Scalar>(data ? data + first : nullptr, rows, columns);
  };
  const auto take_all = [&](MatrixView<Scalar> LearnedMatrix<Scalar>::*part) {
    for (std::size_t i = 0; i < state.matrices.size(); ++i)
      state.matrices[i].*part = take(model_.shape(i)[0], model_.shape(i)[1]);
  };
  take_all(&LearnedMatrix<Scalar>::weight);
  if (has_momentum()) take_all(&LearnedMatrix<Scalar>::momentum);
  take_all(&LearnedMatrix<Scalar>::sum);
  if (keeps_lengths_)
    for (std::size_t i = 0; i < state.matrices.size(); ++i) state.matrices[i].lengths = take(1, model_.shape(i)[1]);
  if (has_momentum()) state.momentum = take(1, 1);
  return state;
}

template <class InnerModel>
template <class Arch>
void LargeChunk<InnerModel>::open(std::int64_t position, Scalar* data, Arena& scratch) const {
  if (position % chunk_ != 0) return;
  const State state = this->state(data);
  for (const auto& matrix : state.matrices)
    if (position > 0)
      detail::end_chunk<Arch, Scalar>(matrix, chunk_mean(state, chunk_), step_ == ChunkStep::muon, scratch);
    else if (keeps_lengths_)
      detail::column_lengths<Arch, Scalar>(matrix.weight, matrix.lengths);
  if (has_momentum() && position > 0) state.momentum(0, 0) = 0;
}

template <class InnerModel>
template <class Arch>
void LargeChunk<InnerModel>::open_backward(std::int64_t position, Scalar* data, Scalar* d_data, Arena& scratch) const {
  if (position % chunk_ != 0) return;
  const State before = state(data), d = state(d_data);
  Scalar d_mean = 0;
  for (std::size_t i = 0; i < before.matrices.size(); ++i)
    if (position > 0) {
      d_mean += detail::end_chunk_backward<Arch, Scalar>(before.matrices[i], chunk_mean(before, chunk_),
                                                         step_ == ChunkStep::muon, d.matrices[i], scratch);
    } else if (keeps_lengths_) {
      const Arena::Frame frame(scratch);
      const auto& [weight, momentum, sum, d_lengths] = d.matrices[i];
      const auto lengths = scratch.matrix<Scalar>(1, weight.columns());
      detail::column_lengths<Arch, Scalar>(before.matrices[i].weight, lengths);
      detail::column_lengths_backward<Arch, Scalar>(before.matrices[i].weight, lengths, d_lengths, weight, scratch);
      fill(d_lengths, Scalar(0));
    }
  if (has_momentum() && position > 0) d.momentum(0, 0) = d_mean / static_cast<Scalar>(chunk_);
}

template <class InnerModel>
template <class Arch>
void LargeChunk<InnerModel>::read(const LargeChunkRows<const Scalar>& rows, Scalar* data, MatrixView<Scalar> out,
                                  Arena& scratch) const {
  const Arena::Frame frame(scratch);
  const State state = this->state(data);
  if (rows.tokens() >= large_chunk_few_tokens) {
    model_.template chunk<Arch>(state.matrices, rows, out, scratch);
  } else {
    if (out.empty()) out = scratch.matrix<Scalar>(rows.tokens(), model_.head_width());
    for (Index t = 0; t < rows.tokens(); ++t)
      model_.template token<Arch>(state.matrices, rows.rows(t, 1), out.rows(t, 1), scratch);
  }
  for (Index t = 0; has_momentum() && t < rows.tokens(); ++t) state.momentum(0, 0) += rows.momentum(t, 0);
}

template <class InnerModel>
template <class Arch>
void LargeChunk<InnerModel>::backward(const Input& input, const Record& record, MatrixView<const Scalar> d_out,
                                      Scalar* d_data, const InputGradient& d_input, Arena& scratch) const {
  const Arena::Frame frame(scratch);
  const PartList parts = this->parts(input.position, d_out.rows());
  const State d_state = state(d_data);
  const auto states = scratch.matrix<Scalar>(std::min(record.interval(), parts.size()), state_size());
  const auto opened = scratch.matrix<Scalar>(1, state_size());
  const auto rows = [&](const auto& all, Index i) { return all.rows(parts.row(i), parts[i].count); };
  for (Index group = record.count() - 1; group >= 0; --group) {
    const Index first = group * record.interval(), end = std::min(first + record.interval(), parts.size());
    kernels::copy_rows<Arch, Scalar>(record.at(group), states.rows(0, 1));
    for (Index i = first; i + 1 < end; ++i) {
      kernels::copy_rows<Arch, Scalar>(states.rows(i - first, 1), states.rows(i + 1 - first, 1));
      open<Arch>(input.position + parts.row(i), states.row(i + 1 - first), scratch);
      read<Arch>(rows(input.rows, i), states.row(i + 1 - first), {}, scratch);
    }
    for (Index i = end - 1; i >= first; --i) {
      const std::int64_t position = input.position + parts.row(i);
      kernels::copy_rows<Arch, Scalar>(states.rows(i - first, 1), opened);
      open<Arch>(position, opened.data(), scratch);
      const LargeChunkRows<Scalar> d_rows = rows(d_input.rows, i);
      model_.template backward<Arch>(state(opened.data()).matrices, rows(input.rows, i), rows(d_out, i),
                                     d_state.matrices, d_rows, scratch);
      if (has_momentum()) fill(d_rows.momentum, d_state.momentum(0, 0));
      open_backward<Arch>(position, states.row(i - first), d_data, scratch);
    }
  }
}

static_assert(TabledRule<LargeChunk<InnerSwiglu<float>>> && TabledRule<LargeChunk<InnerLinear<float>>>);

}  // namespace rules

TTT_NAMESPACE_END
