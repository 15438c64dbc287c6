// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <concepts>
#include <vector>

#include "ttt/core/kernel_table.hpp"
#include "ttt/rules/ttt_mlp/backward.hpp"
#include "ttt/rules/ttt_mlp/primal.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The rule of TTT-MLP (Sun et al. 2024, arXiv 2407.04620, section 2.7): per head, a GELU MLP of width F = 4 D learns
/// to reconstruct v from k while the sequence is read. Models TttRule.
template <class Element, Index HeadWidth = dynamic, Index MiniBatch = dynamic>
class TttMlp {
 public:
  using Scalar = Element;
  using State = TttMlpState<Scalar>;
  using Kept = TttMlpKept<Scalar>;
  using Head = TttHead<Scalar>;
  static constexpr const char* name = "TTT-MLP";
  static constexpr double base_learning_rate = 0.1;  ///< of the published layer

  /// The same rule with sizes held at run time: what a table of kernels has.
  using AnySize = TttMlp<Scalar>;
  static constexpr KernelId forward_kernel = KernelId::ttt_mlp_forward;
  static constexpr KernelId backward_kernel = KernelId::ttt_mlp_backward;

  TttMlp(Index head_width, Index mini_batch) : head_width_(head_width), mini_batch_(mini_batch) {}
  operator AnySize() const requires(!std::same_as<TttMlp, AnySize>) { return {head_width(), mini_batch()}; }

  Index head_width() const { return head_width_; }
  Index mini_batch() const { return mini_batch_; }
  Index hidden() const { return 4 * head_width_; }
  Index weight_size() const { return State::weight_size(head_width_, hidden()); }
  Index state_size() const { return State::size(head_width_, hidden(), mini_batch_); }
  std::vector<Index> row_widths() const { return {head_width_, hidden(), hidden(), head_width_, 1}; }
  State state(Scalar* data) const { return state(data, data + weight_size()); }
  State state(Scalar* weights, Scalar* rows) const {
    return State::at(weights, rows, head_width_, hidden(), mini_batch_);
  }
  /// Memory for what `learn_again` leaves for `backward`.
  Kept keep(Arena& scratch) const {
    const auto rows = [&] { return scratch.matrix<Scalar>(mini_batch_, hidden()); };
    return {rows(), rows(), rows()};
  }

  /// Columns of z that a forward leaves for `backward`: to read it takes less than products with F columns.
  Index z_width() const { return head_width_; }

  /// The learned initial weights in the order in which a state holds them.
  std::array<FastWeight, 4> fast_weights(Index heads) const {
    return {{{"W1", {heads, head_width_, hidden()}, parameter::fast_weight},
             {"b1", {heads, 1, hidden()}, parameter::zero},
             {"W2", {heads, hidden(), head_width_}, parameter::fast_weight},
             {"b2", {heads, 1, head_width_}, parameter::zero}}};
  }

  template <class Arch>
  void learn(const Head& head, const State& state, MiniBatchPart part, const TttRows<const Scalar>& rows,
             MatrixView<Scalar> z, Arena& scratch) const {
    ttt_mlp_learn<Arch>(head, state, part, rows, z, scratch);
  }
  template <class Arch>
  void learn_again(const Head& head, const State& state, MiniBatchPart part, const TttRows<const Scalar>& rows,
                   MatrixView<const Scalar> z, const Kept& kept, Arena& scratch) const {
    ttt_mlp_learn_again<Arch>(head, state, part, rows, z, kept.first(part.count), scratch);
  }
  template <class Arch>
  void apply(const Head& head, const State& state, MiniBatchPart part, MatrixView<const Scalar> queries,
             MatrixView<Scalar> z, MatrixView<Scalar> out, Arena& scratch) const {
    ttt_mlp_apply<Arch>(head, state, part, queries, z, out, scratch);
  }
  template <class Arch>
  void fold(const Head& head, const State& state, Index count, const State& folded, Arena& scratch) const {
    ttt_mlp_fold<Arch>(head, state, count, folded, scratch);
  }
  template <class Arch>
  void model(const State& state, MatrixView<const Scalar> x, MatrixView<Scalar> z, Arena& scratch) const {
    ttt_mlp_model<Arch>(state, x, z, scratch);
  }
  template <class Arch>
  void primal(const Head& head, const State& state, MiniBatchPart part, const TttRows<const Scalar>& rows,
              const TttPreNorm<Scalar>& z, MatrixView<Scalar> out, Arena& scratch) const {
    ttt_mlp_primal<Arch>(head, state, part, rows, z, out, scratch);
  }
  template <class Arch>
  void backward(const Head& head, const State& state, const Kept& kept, MiniBatchPart part,
                const TttRows<const Scalar>& rows, const TttPreNorm<Scalar>& z, MatrixView<const Scalar> d_out,
                const State& d_state, const TttRows<Scalar>& d_rows, const TttHeadGradient<Scalar>& d_head,
                Arena& scratch) const {
    ttt_mlp_backward<Arch>(head, state, kept.first(part.count), part, rows, z, d_out, d_state, d_rows, d_head, scratch);
  }

 private:
  [[no_unique_address]] Extent<HeadWidth> head_width_;
  [[no_unique_address]] Extent<MiniBatch> mini_batch_;
};

}  // namespace rules

TTT_NAMESPACE_END
