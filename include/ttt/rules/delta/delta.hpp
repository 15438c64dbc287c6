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
/// rows a token.
#pragma once

#include "ttt/rules/delta/backward.hpp"
#include "ttt/rules/delta/recurrent.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Where a forward leaves the states that its backward starts from: the one before every `interval`-th chunk.
template <class Scalar>
struct DeltaCheckpoints {
  Scalar* data = nullptr;  ///< null: nothing is kept
  Index interval = 4;

  static Index chunks(Index tokens) { return (tokens + delta_chunk - 1) / delta_chunk; }
  Index count(Index tokens) const { return (chunks(tokens) + interval - 1) / interval; }
  Index size(Index tokens, Index keys, Index values) const { return count(tokens) * keys * values; }
  MatrixView<Scalar> at(Index i, Index keys, Index values) const { return {data + i * keys * values, keys, values}; }
};

/// Fewer tokens are read one by one.
inline constexpr Index delta_few_tokens = 4;

/// Reads T tokens: `state` [K × V] advances, out [T × V] is assigned and overlaps nothing. Fills `checkpoints` when it
/// has memory. In chunks, but for a few tokens; both forms agree up to rounding.
template <class Arch = simd::Native, class Scalar>
void delta_forward(const DeltaRows<const std::type_identity_t<Scalar>>& rows, MatrixView<Scalar> state,
                   MatrixView<std::type_identity_t<Scalar>> out,
                   const DeltaCheckpoints<std::type_identity_t<Scalar>>& checkpoints, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto keep = [&](Index chunk) {
    if (checkpoints.data && chunk % checkpoints.interval == 0)
      kernels::copy_rows<Arch>(state, checkpoints.at(chunk / checkpoints.interval, state.rows(), state.columns()));
  };
  if (rows.tokens() < delta_few_tokens) {
    if (rows.tokens() > 0) keep(0);
    return delta_recurrent<Arch, Scalar>(rows, state, out, scratch);
  }
  detail::DeltaChunk<Arch, Scalar> chunk(rows, scratch);
  for (Index i = 0; i < checkpoints.chunks(rows.tokens()); ++i) {
    const Index first = i * delta_chunk, count = std::min(delta_chunk, rows.tokens() - first);
    keep(i);
    chunk.read(rows.rows(first, count), state);
    chunk.answer(state, out.rows(first, count));
    chunk.advance(state);
  }
}

/// Backward of `delta_forward`, from the checkpoints it left: d_state goes from the gradient of the final state to that
/// of the initial one, `d_rows` are assigned. States between checkpoints are brought back once.
template <class Arch = simd::Native, class Scalar>
void delta_backward(const DeltaRows<const std::type_identity_t<Scalar>>& rows,
                    const DeltaCheckpoints<std::type_identity_t<Scalar>>& checkpoints,
                    MatrixView<const std::type_identity_t<Scalar>> d_out, MatrixView<Scalar> d_state,
                    const DeltaRows<std::type_identity_t<Scalar>>& d_rows, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index keys = d_state.rows(), values = d_state.columns(), chunks = checkpoints.chunks(rows.tokens());
  detail::DeltaChunk<Arch, Scalar> chunk(rows, scratch);
  const auto states = scratch.matrix<Scalar>(checkpoints.interval * keys, values);
  const auto part = [&](const auto& all, Index i) {
    return all.rows(i * delta_chunk, std::min(delta_chunk, rows.tokens() - i * delta_chunk));
  };
  for (Index group = checkpoints.count(rows.tokens()) - 1; group >= 0; --group) {
    const Index first = group * checkpoints.interval, end = std::min(first + checkpoints.interval, chunks);
    const auto state = [&](Index i) { return states.rows((i - first) * keys, keys); };
    kernels::copy_rows<Arch>(checkpoints.at(group, keys, values), state(first));
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

}  // namespace rules

TTT_NAMESPACE_END
