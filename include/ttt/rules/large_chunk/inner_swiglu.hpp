// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/kernel_table.hpp"
#include "ttt/rules/large_chunk/swiglu_backward.hpp"
#include "ttt/rules/large_chunk/swiglu_chunk.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The inner model of LaCT (Zhang et al. 2025, arXiv 2505.23884), a SwiGLU of hidden width F under the loss −f(k) · v:
///
///     f(x) = (silu(x W0) ∘ x W2) W1,   W0, W2 [D × F], W1 [F × D]
///
/// each the transpose of the published one, in the order W0, W1, W2. Models InnerModel (large_chunk.hpp).
template <class Element>
class InnerSwiglu {
 public:
  using Scalar = Element;
  using ConstRows = LargeChunkRows<const Scalar>;
  using Matrices = LearnedMatrices<Scalar, 3>;
  static constexpr KernelId forward_kernel = KernelId::large_chunk_swiglu_forward;
  static constexpr KernelId backward_kernel = KernelId::large_chunk_swiglu_backward;

  InnerSwiglu(Index head_width, Index hidden) : head_width_(head_width), hidden_(hidden) {}

  Index head_width() const { return head_width_; }
  Index hidden() const { return hidden_; }
  /// Rows and columns of matrix i.
  std::array<Index, 2> shape(std::size_t i) const {
    return i == 1 ? std::array{hidden_, head_width_} : std::array{head_width_, hidden_};
  }
  Index token_work() const { return 9 * head_width_ * hidden_; }

  /// One token, whose steps join the sums.
  template <class Arch>
  void token(const Matrices& matrices, const ConstRows& row, MatrixView<Scalar> out, Arena& scratch) const {
    swiglu_token<Arch, Scalar>(matrices, row, out, scratch);
  }
  /// Any number of tokens of one chunk. `out` may be empty: not wanted.
  template <class Arch>
  void chunk(const Matrices& matrices, const ConstRows& rows, MatrixView<Scalar> out, Arena& scratch) const {
    swiglu_chunk<Arch, Scalar>(matrices, rows, out, scratch);
  }
  /// Backward of `chunk`, from the gradients of the sums in `d`: adds to those of the weights, assigns all of d_rows
  /// but the momentum.
  template <class Arch>
  void backward(const Matrices& matrices, const ConstRows& rows, MatrixView<const Scalar> d_out, const Matrices& d,
                const LargeChunkRows<Scalar>& d_rows, Arena& scratch) const {
    const Arena::Frame frame(scratch);
    SwigluChunkBackward<Arch, Scalar>(matrices, d, scratch).run(rows, d_out, d_rows);
  }

 private:
  Index head_width_, hidden_;
};

}  // namespace rules

TTT_NAMESPACE_END
