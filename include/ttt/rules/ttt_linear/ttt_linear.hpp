// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <concepts>
#include <vector>

#include "ttt/core/kernel_table.hpp"
#include "ttt/rules/ttt_linear/backward.hpp"
#include "ttt/rules/ttt_linear/primal.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The rule of TTT-Linear (Sun et al. 2024, arXiv 2407.04620, section 2.7): per head, W [D × D] and b [D] learn to
/// reconstruct v from k while the sequence is read. Models TttRule.
template <class Element, Index HeadWidth = dynamic, Index MiniBatch = dynamic>
class TttLinear {
 public:
  using Scalar = Element;
  using State = TttLinearState<Scalar>;
  using Kept = TttLinearKept<Scalar>;
  using Head = TttHead<Scalar>;
  static constexpr const char* name = "TTT-Linear";
  static constexpr double base_learning_rate = 1.0;  ///< of the published layer

  /// The same rule with sizes held at run time: what a table of kernels has.
  using AnySize = TttLinear<Scalar>;
  static constexpr KernelId forward_kernel = KernelId::ttt_linear_forward;
  static constexpr KernelId backward_kernel = KernelId::ttt_linear_backward;

  TttLinear(Index head_width, Index mini_batch) : head_width_(head_width), mini_batch_(mini_batch) {}
  operator AnySize() const requires(!std::same_as<TttLinear, AnySize>) { return {head_width(), mini_batch()}; }

  Index head_width() const { return head_width_; }
  Index mini_batch() const { return mini_batch_; }
  Index weight_size() const { return State::weight_size(head_width_); }
  Index state_size() const { return State::size(head_width_, mini_batch_); }
  std::vector<Index> row_widths() const { return {head_width_, head_width_, 1}; }
  State state(Scalar* data) const { return state(data, data + weight_size()); }
  State state(Scalar* weights, Scalar* rows) const { return State::at(weights, rows, head_width_, mini_batch_); }
  /// Memory for what `learn_again` leaves for `backward`.
  Kept keep(Arena& scratch) const { return {scratch.matrix<Scalar>(mini_batch_, head_width_)}; }

  /// Columns of z that a forward leaves for `backward`: none, it is computed again sooner than read.
  Index z_width() const { return 0; }

  /// W₀ and b₀ in the order in which a state holds them.
  std::array<FastWeight, 2> fast_weights(Index heads) const {
    return {{{"W1", {heads, head_width_, head_width_}, parameter::fast_weight},
             {"b1", {heads, 1, head_width_}, parameter::zero}}};
  }

  template <class Arch>
  void learn(const Head& head, const State& state, MiniBatchPart part, const TttRows<const Scalar>& rows,
             MatrixView<Scalar> z, Arena&) const {
    ttt_linear_learn<Arch>(head, state, part, rows, z);
  }
  template <class Arch>
  void learn_again(const Head& head, const State& state, MiniBatchPart part, const TttRows<const Scalar>& rows,
                   MatrixView<const Scalar>, const Kept& kept, Arena&) const {
    ttt_linear_learn<Arch>(head, state, part, rows, kept.z.rows(0, part.count));
  }
  template <class Arch>
  void apply(const Head& head, const State& state, MiniBatchPart part, MatrixView<const Scalar> queries,
             MatrixView<Scalar> z, MatrixView<Scalar> out, Arena& scratch) const {
    ttt_linear_apply<Arch>(head, state, part, queries, z, out, scratch);
  }
  template <class Arch>
  void fold(const Head& head, const State& state, Index count, const State& folded, Arena& scratch) const {
    ttt_linear_fold<Arch>(head, state, count, folded, scratch);
  }
  template <class Arch>
  void model(const State& state, MatrixView<const Scalar> x, MatrixView<Scalar> z, Arena& scratch) const {
    ttt_linear_model<Arch>(state, x, z, scratch);
  }
  template <class Arch>
  void primal(const Head& head, const State& state, MiniBatchPart part, const TttRows<const Scalar>& rows,
              const TttPreNorm<Scalar>& z, MatrixView<Scalar> out, Arena& scratch) const {
    ttt_linear_primal<Arch>(head, state, part, rows, z, out, scratch);
  }
  template <class Arch>
  void backward(const Head& head, const State& state, const Kept& kept, MiniBatchPart part,
                const TttRows<const Scalar>& rows, const TttPreNorm<Scalar>&, MatrixView<const Scalar> d_out,
                const State& d_state, const TttRows<Scalar>& d_rows, const TttHeadGradient<Scalar>& d_head,
                Arena& scratch) const {
    ttt_linear_backward<Arch>(head, state, kept, part, rows, d_out, d_state, d_rows, d_head, scratch);
  }

 private:
  [[no_unique_address]] Extent<HeadWidth> head_width_;
  [[no_unique_address]] Extent<MiniBatch> mini_batch_;
};

}  // namespace rules

TTT_NAMESPACE_END
