// SPDX-License-Identifier: MIT
/// @file
/// The delta family: one head whose state is a matrix S [K × V] that answers queries linearly and learns by rank-one
/// steps,
///
///     S̃ = Diag(e^g) S,   u = v − S̃ᵀ e,   S = S̃ + c uᵀ,   o = Sᵀ q
///
/// | instance | g | e | c | v |
/// |---|---|---|---|---|
/// | linear attention (Katharopoulos et al. 2020) | – | – | k | v |
/// | GLA (Yang et al. 2024); Mamba-2 (Dao and Gu 2024) with q = C, c = B, v = Δ x, g = Δ A | [K]; one | – | k | v |
/// | DeltaNet (Schlag et al. 2021; Yang et al. 2024): one SGD step of rate β on ½‖Sᵀk − v‖² | – | β k | k | β v |
/// | Gated DeltaNet (Yang et al. 2025) | one | β k | k | β v |
/// | Kimi Delta Attention (Kimi Team 2025) | [K] | β k | k | β v |
///
/// Gated DeltaProduct is the same rule on interleaved rows (g on the first of a token's, q on the last), RWKV-7 on two
/// rows a token. Rates β up to 2 instead of 1 give the transition I − β k kᵀ negative eigenvalues (Grazzi et al. 2025):
/// what a layer draws β from is all that changes.
#pragma once

#include "ttt/rules/delta/backward.hpp"
#include "ttt/rules/delta/recurrent.hpp"
#include "ttt/rules/sequence_rule.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Fewer tokens are read one by one.
inline constexpr Index delta_few_tokens = 4;

namespace detail {

inline Index delta_chunks(Index tokens) { return (tokens + delta_chunk - 1) / delta_chunk; }

}  // namespace detail

/// Reads T tokens: `state` [K × V] advances, out [T × V] is assigned and overlaps nothing. Fills `checkpoints`, a step
/// of which is a chunk, unless they are empty. In chunks, but for a few tokens; both forms agree up to rounding.
template <class Arch = simd::Native, class Scalar>
void delta_forward(const DeltaRows<const std::type_identity_t<Scalar>>& rows, MatrixView<Scalar> state,
                   MatrixView<std::type_identity_t<Scalar>> out,
                   const Checkpoints<std::type_identity_t<Scalar>>& checkpoints, Arena& scratch) {
  const Arena::Frame frame(scratch);
  if (rows.tokens() < delta_few_tokens) {
    if (rows.tokens() > 0) checkpoints.template keep<Arch>(0, state);
    return delta_recurrent<Arch, Scalar>(rows, state, out, scratch);
  }
  detail::DeltaChunk<Arch, Scalar> chunk(rows, scratch);
  for (Index i = 0; i < detail::delta_chunks(rows.tokens()); ++i) {
    const Index first = i * delta_chunk, count = std::min(delta_chunk, rows.tokens() - first);
    checkpoints.template keep<Arch>(i, state);
    detail::prefetch_rows(rows.rows(first + count, std::min(delta_chunk, rows.tokens() - first - count)));
    chunk.read(rows.rows(first, count), state);
    chunk.answer(state, out.rows(first, count));
    chunk.advance(state);
  }
}

/// Backward of `delta_forward`, from the checkpoints it left: d_state goes from the gradient of the final state to that
/// of the initial one, `d_rows` are assigned. States between checkpoints are brought back once.
template <class Arch = simd::Native, class Scalar>
void delta_backward(const DeltaRows<const std::type_identity_t<Scalar>>& rows,
                    const Checkpoints<std::type_identity_t<Scalar>>& checkpoints,
                    MatrixView<const std::type_identity_t<Scalar>> d_out, MatrixView<Scalar> d_state,
                    const DeltaRows<std::type_identity_t<Scalar>>& d_rows, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index keys = d_state.rows(), interval = checkpoints.interval(), chunks = detail::delta_chunks(rows.tokens());
  detail::DeltaChunk<Arch, Scalar> chunk(rows, scratch);
  const auto states = scratch.matrix<Scalar>(interval * keys, d_state.columns());
  const auto part = [&](const auto& all, Index i) {
    return all.rows(i * delta_chunk, std::min(delta_chunk, rows.tokens() - i * delta_chunk));
  };
  for (Index group = checkpoints.count() - 1; group >= 0; --group) {
    const Index first = group * interval, end = std::min(first + interval, chunks);
    const auto state = [&](Index i) { return states.rows((i - first) * keys, keys); };
    kernels::copy_rows<Arch>(checkpoints.at(group), state(first));
    for (Index i = first; i + 1 < end; ++i) {
      chunk.read(part(rows, i), state(i));
      kernels::copy_rows<Arch>(state(i), state(i + 1));
      chunk.advance(state(i + 1));
    }
    for (Index i = end - 1; i >= first; --i) {
      const Arena::Frame of_chunk(scratch);
      chunk.read(part(rows, i), state(i));
      const DeltaRows<Scalar> d = part(d_rows, i);
      detail::DeltaChunkBackward<Arch, Scalar>(chunk, state(i), d, scratch).run(part(d_out, i), d_state);
    }
  }
}

/// What an instance has of g: nothing, one number a token, or one for each row of the state.
enum class DeltaDecay { none, one, by_row };

/// An instance of the family: which rows it has, an e or none, is known at compile time. A sequence begins with S = 0.
/// Models SequenceRule.
template <class Element, DeltaDecay decay, bool erases>
class Delta {
 public:
  using Scalar = Element;
  using Input = RuleInput<NothingShared, DeltaRows<const Scalar>>;
  using InputGradient = RuleInput<NothingShared, DeltaRows<Scalar>>;
  using Record = Checkpoints<Scalar>;

  /// Its functions find out from the rows what there is of them.
  using InTable = Delta<Scalar, DeltaDecay::by_row, true>;
  static constexpr KernelId forward_kernel = KernelId::delta_forward;
  static constexpr KernelId backward_kernel = KernelId::delta_backward;

  /// Keys of K, values of V numbers; chunks from one state that is kept for a backward to the next.
  Delta(Index key_width, Index value_width, Index checkpoint_interval = 4)
      : key_width_(key_width), value_width_(value_width), checkpoint_interval_(checkpoint_interval) {}
  operator InTable() const requires(!std::same_as<Delta, InTable>) {
    return {key_width_, value_width_, checkpoint_interval_};
  }

  Index key_width() const { return key_width_; }
  Index value_width() const { return value_width_; }
  /// Columns of e and of g; those of rows that there are not are 0.
  Index erase_width() const { return erases ? key_width_ : 0; }
  Index decay_width() const { return decay == DeltaDecay::none ? 0 : decay == DeltaDecay::one ? 1 : key_width_; }

  /// From one state that is kept for a backward to the next.
  Index checkpoint_tokens() const { return checkpoint_interval_ * delta_chunk; }

  Index state_size() const { return key_width_ * value_width_; }
  Index initial_size() const { return 0; }
  Index shared_size() const { return 0; }
  Index token_work() const { return (erases ? 3 : 2) * state_size(); }
  NothingShared shared_gradient(Scalar*) const { return {}; }
  Record record(std::int64_t, Index tokens, Arena& memory) const {
    return {key_width_, value_width_, detail::delta_chunks(tokens), checkpoint_interval_, memory};
  }

  template <class Arch>
  void forward(const Input& input, Scalar* state, MatrixView<Scalar> out, const Record& record, Arena& scratch) const {
    delta_forward<Arch, Scalar>(input.rows, view(state), out, record, scratch);
  }
  template <class Arch>
  void primal(const Input& input, Scalar* state, MatrixView<Scalar> out, Arena& scratch) const {
    delta_recurrent<Arch, Scalar>(input.rows, view(state), out, scratch);
  }
  template <class Arch>
  void backward(const Input& input, const Record& record, MatrixView<const Scalar> d_out, Scalar* d_state,
                const InputGradient& d_input, Arena& scratch) const {
    delta_backward<Arch, Scalar>(input.rows, record, d_out, view(d_state), d_input.rows, scratch);
  }

 private:
  MatrixView<Scalar> view(Scalar* state) const { return {state, key_width_, value_width_}; }

  Index key_width_, value_width_, checkpoint_interval_;
};

static_assert(TabledRule<Delta<float, DeltaDecay::one, true>>);

}  // namespace rules

TTT_NAMESPACE_END
