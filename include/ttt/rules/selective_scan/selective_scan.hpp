// SPDX-License-Identifier: MIT
/// @file
/// The selective scan of Mamba (Gu and Dao 2023, "Mamba", algorithm 2 and equation 2): every channel has N numbers that
/// decay at rates of their own, and the token says how long a step is, what gets in and what comes out,
///
///     h_t = e^(Δ_t A) ∘ h_{t−1} + (Δ_t x_t) B_tᵀ,   y_t = h_t C_t
///
/// Channels depend on each other through nothing but B and C: a call takes some of them, side by side in the lanes of a
/// pack, with the state as [N × C]. (The skip D ∘ x is the layer's.)
#pragma once

#include <algorithm>

#include "ttt/rules/selective_scan/backward.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Where a forward leaves the states that its backward starts from: the one before every `interval`-th token.
template <class Scalar>
struct ScanCheckpoints {
  Scalar* data = nullptr;  ///< null: nothing is kept
  Index interval = 16;

  Index count(Index tokens) const { return (tokens + interval - 1) / interval; }
  Index size(Index tokens, Index states, Index channels) const { return count(tokens) * states * channels; }
  MatrixView<Scalar> at(Index i, Index states, Index channels) const {
    return {data + i * states * channels, states, channels};
  }
};

/// Reads T tokens: `state` h [N × C] advances, out y [T × C] is assigned and overlaps nothing; rates A ≤ 0 [N × C].
/// Fills `checkpoints` when it has memory. The bits of a row do not depend on how the sequence is cut into calls.
template <class Arch = simd::Native, class Scalar>
void selective_scan(const ScanRows<const std::type_identity_t<Scalar>>& rows,
                    MatrixView<const std::type_identity_t<Scalar>> rates, MatrixView<Scalar> state,
                    MatrixView<std::type_identity_t<Scalar>> out,
                    const ScanCheckpoints<std::type_identity_t<Scalar>>& checkpoints) {
  for (Index t = 0; t < rows.tokens(); ++t) {
    if (checkpoints.data && t % checkpoints.interval == 0)
      copy(state, checkpoints.at(t / checkpoints.interval, state.rows(), state.columns()));
    detail::scan_step<Arch, Scalar>(rows.rows(t, 1), rates, state, state, out.row(t));
  }
}

/// Backward of `selective_scan`, from the checkpoints it left: d_state goes from the gradient of the final state to
/// that of the initial one, `d_rows` are assigned (`input` and `output` to what these channels say), d_rates [N × C]
/// accumulates. States between checkpoints are brought back once.
template <class Arch = simd::Native, class Scalar>
void selective_scan_backward(const ScanRows<const std::type_identity_t<Scalar>>& rows,
                             MatrixView<const std::type_identity_t<Scalar>> rates,
                             const ScanCheckpoints<std::type_identity_t<Scalar>>& checkpoints,
                             MatrixView<const std::type_identity_t<Scalar>> d_out, MatrixView<Scalar> d_state,
                             const ScanRows<std::type_identity_t<Scalar>>& d_rows,
                             MatrixView<std::type_identity_t<Scalar>> d_rates, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index states = d_state.rows(), channels = d_state.columns();
  const auto between = scratch.matrix<Scalar>((checkpoints.interval + 1) * states, channels);
  Scalar* const unused = scratch.allocate<Scalar>(channels);
  for (Index group = checkpoints.count(rows.tokens()) - 1; group >= 0; --group) {
    const Index first = group * checkpoints.interval, end = std::min(first + checkpoints.interval, rows.tokens());
    const auto state = [&](Index t) { return between.rows((t - first) * states, states); };
    copy(checkpoints.at(group, states, channels), state(first));
    for (Index t = first; t < end; ++t)
      detail::scan_step<Arch, Scalar>(rows.rows(t, 1), rates, state(t), state(t + 1), unused);
    for (Index t = end - 1; t >= first; --t) {
      const ScanRows<Scalar> d = d_rows.rows(t, 1);
      detail::scan_step_backward<Arch, Scalar>(rows.rows(t, 1), rates, state(t), state(t + 1), d_out.row(t), d_state, d,
                                               d_rates);
    }
  }
}

}  // namespace rules

TTT_NAMESPACE_END
