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
#include "ttt/rules/sequence_rule.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

inline Index scan_walks(Index tokens) { return (tokens + scan_tokens - 1) / scan_tokens; }

/// The rows of walk i.
template <class Rows>
Rows of_walk(const Rows& all, Index tokens, Index i) {
  return all.rows(i * scan_tokens, std::min(scan_tokens, tokens - i * scan_tokens));
}

}  // namespace detail

/// Reads T tokens: `state` h [N × C] advances, out y [T × C] is assigned and overlaps nothing; rates A ≤ 0 [N × C].
/// Fills `checkpoints`, a step of which is a walk over tokens, unless they are empty. The bits of a row do not depend
/// on how the sequence is cut into calls.
template <class Arch = simd::Native, class Scalar>
void selective_scan(const ScanRows<const std::type_identity_t<Scalar>>& rows,
                    MatrixView<const std::type_identity_t<Scalar>> rates, MatrixView<Scalar> state,
                    MatrixView<std::type_identity_t<Scalar>> out,
                    const Checkpoints<std::type_identity_t<Scalar>>& checkpoints) {
  for (Index i = 0; i < detail::scan_walks(rows.tokens()); ++i) {
    checkpoints.template keep<Arch>(i, state);
    detail::scan_walk<Arch, Scalar>(detail::of_walk(rows, rows.tokens(), i), rates, state,
                                    detail::of_walk(out, rows.tokens(), i));
  }
}

/// Backward of `selective_scan`, from the checkpoints it left: d_state goes from the gradient of the final state to
/// that of the initial one, `d_rows` are assigned (`input` and `output` to what these channels say), d_rates [N × C]
/// accumulates. States between checkpoints are brought back once more.
template <class Arch = simd::Native, class Scalar>
void selective_scan_backward(const ScanRows<const std::type_identity_t<Scalar>>& rows,
                             MatrixView<const std::type_identity_t<Scalar>> rates,
                             const Checkpoints<std::type_identity_t<Scalar>>& checkpoints,
                             MatrixView<const std::type_identity_t<Scalar>> d_out, MatrixView<Scalar> d_state,
                             const ScanRows<std::type_identity_t<Scalar>>& d_rows,
                             MatrixView<std::type_identity_t<Scalar>> d_rates, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index states = d_state.rows(), interval = checkpoints.interval(), tokens = rows.tokens();
  const auto between = scratch.matrix<Scalar>(interval * states, d_state.columns());
  const auto unused = scratch.matrix<Scalar>(detail::scan_tokens, d_state.columns());
  for (Index group = checkpoints.count() - 1; group >= 0; --group) {
    const Index first = group * interval, end = std::min(first + interval, detail::scan_walks(tokens));
    const auto state = [&](Index i) { return between.rows((i - first) * states, states); };
    kernels::copy_rows<Arch>(checkpoints.at(group), state(first));
    for (Index i = first; i + 1 < end; ++i) {
      kernels::copy_rows<Arch>(state(i), state(i + 1));
      detail::scan_walk<Arch, Scalar>(detail::of_walk(rows, tokens, i), rates, state(i + 1), unused);
    }
    for (Index i = end - 1; i >= first; --i)
      detail::ScanWalkBackward<Arch, Scalar>(detail::of_walk(rows, tokens, i), rates, scratch)
          .run(state(i), detail::of_walk(d_out, tokens, i), d_state, detail::of_walk(d_rows, tokens, i), d_rates);
  }
}

/// Some channels of the scan, as a rule: what their tokens share are the rates. A sequence begins with h = 0. Models
/// SequenceRule.
template <class Element>
class SelectiveScan {
 public:
  using Scalar = Element;
  using Input = RuleInput<MatrixView<const Scalar>, ScanRows<const Scalar>>;
  using InputGradient = RuleInput<MatrixView<Scalar>, ScanRows<Scalar>>;
  using Record = Checkpoints<Scalar>;

  using InTable = SelectiveScan;
  static constexpr KernelId forward_kernel = KernelId::selective_scan_forward;
  static constexpr KernelId backward_kernel = KernelId::selective_scan_backward;

  /// C channels of N numbers; walks from one state that is kept for a backward to the next.
  SelectiveScan(Index channels, Index states, Index checkpoint_interval = 1)
      : channels_(channels), states_(states), checkpoint_interval_(checkpoint_interval) {}

  Index channels() const { return channels_; }
  Index states() const { return states_; }

  /// From one state that is kept for a backward to the next.
  Index checkpoint_tokens() const { return checkpoint_interval_ * detail::scan_tokens; }

  Index state_size() const { return states_ * channels_; }
  Index initial_size() const { return 0; }
  Index shared_size() const { return state_size(); }
  /// Most of it is the exponential.
  Index token_work() const { return 16 * state_size(); }
  MatrixView<Scalar> shared_gradient(Scalar* data) const { return view(data); }
  Record record(std::int64_t, Index tokens, Arena& memory) const {
    return {states_, channels_, detail::scan_walks(tokens), checkpoint_interval_, memory};
  }

  template <class Arch>
  void forward(const Input& input, Scalar* state, MatrixView<Scalar> out, const Record& record, Arena&) const {
    selective_scan<Arch, Scalar>(input.rows, input.shared, view(state), out, record);
  }
  /// There is no other form.
  template <class Arch>
  void primal(const Input& input, Scalar* state, MatrixView<Scalar> out, Arena& scratch) const {
    forward<Arch>(input, state, out, {}, scratch);
  }
  template <class Arch>
  void backward(const Input& input, const Record& record, MatrixView<const Scalar> d_out, Scalar* d_state,
                const InputGradient& d_input, Arena& scratch) const {
    selective_scan_backward<Arch, Scalar>(input.rows, input.shared, record, d_out, view(d_state), d_input.rows,
                                          d_input.shared, scratch);
  }

 private:
  MatrixView<Scalar> view(Scalar* state) const { return {state, states_, channels_}; }

  Index channels_, states_, checkpoint_interval_;
};

static_assert(TabledRule<SelectiveScan<float>>);

}  // namespace rules

TTT_NAMESPACE_END
