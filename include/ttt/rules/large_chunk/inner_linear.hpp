// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/kernel_table.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/kernels/block_product.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/large_chunk/product.hpp"
#include "ttt/rules/large_chunk/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The linear inner model f(x) = x W, W [D × D], under the loss −f(k) · v: its steps are η kᵀ v, and W answers with
/// what linear attention adds up. Models InnerModel (large_chunk.hpp).
template <class Element>
class InnerLinear {
 public:
  using Scalar = Element;
  using ConstRows = LargeChunkRows<const Scalar>;
  using Matrices = LearnedMatrices<Scalar, 1>;
  static constexpr KernelId forward_kernel = KernelId::large_chunk_linear_forward;
  static constexpr KernelId backward_kernel = KernelId::large_chunk_linear_backward;

  explicit InnerLinear(Index head_width) : head_width_(head_width) {}

  Index head_width() const { return head_width_; }
  /// Of x W: rows and columns of W.
  std::array<Index, 2> shape(std::size_t) const { return {head_width_, head_width_}; }
  Index token_work() const { return 2 * head_width_ * head_width_; }

  /// One token, whose step joins the sum.
  template <class Arch>
  void token(const Matrices& matrices, const ConstRows& row, MatrixView<Scalar> out, Arena&) const {
    const auto& [weight, momentum, sum, lengths] = matrices[0];
    kernels::block_product<Arch, Scalar>(row.queries, weight, out);
    for (Index i = 0; i < head_width_; ++i)
      kernels::add_scaled<Arch>(row.rates(0, 0) * row.keys(0, i), row.values.row(0), head_width_, sum.row(i));
  }

  /// Any number of tokens of one chunk. `out` may be empty: not wanted.
  template <class Arch>
  void chunk(const Matrices& matrices, const ConstRows& rows, MatrixView<Scalar> out, Arena& scratch) const {
    const Arena::Frame frame(scratch);
    const auto& [weight, momentum, sum, lengths] = matrices[0];
    if (!out.empty()) detail::packed_product<Arch, Scalar>(rows.queries, weight, out, kernels::Output::assign, scratch);
    detail::packed_product<Arch, Scalar>(kernels::transposed(rows.keys), steps<Arch>(rows, scratch), sum,
                                         kernels::Output::accumulate, scratch);
  }

  /// Backward of `chunk`, from the gradients of the sums in `d`: adds to those of the weights, assigns all of d_rows
  /// but the momentum.
  template <class Arch>
  void backward(const Matrices& matrices, const ConstRows& rows, MatrixView<const Scalar> d_out, const Matrices& d,
                const LargeChunkRows<Scalar>& d_rows, Arena& scratch) const {
    using kernels::Output;
    const Arena::Frame frame(scratch);
    detail::packed_product_transposed<Arch, Scalar>(d_out, matrices[0].weight, d_rows.queries, Output::assign, scratch);
    detail::packed_product<Arch, Scalar>(kernels::transposed(rows.queries), d_out, d[0].weight, Output::accumulate,
                                         scratch);
    detail::packed_product_transposed<Arch, Scalar>(steps<Arch>(rows, scratch), d[0].sum, d_rows.keys, Output::assign,
                                                    scratch);
    // What the steps get is k dS, of which v takes η and η takes v.
    detail::packed_product<Arch, Scalar>(rows.keys, d[0].sum, d_rows.values, Output::assign, scratch);
    for (Index t = 0; t < rows.tokens(); ++t) {
      d_rows.rates(t, 0) = kernels::dot<Arch>(rows.values.row(t), d_rows.values.row(t), head_width_);
      kernels::scale<Arch>(rows.rates(t, 0), d_rows.values.row(t), head_width_, d_rows.values.row(t));
    }
  }

 private:
  /// η v, of all rows.
  template <class Arch>
  MatrixView<Scalar> steps(const ConstRows& rows, Arena& scratch) const {
    const auto all = scratch.matrix<Scalar>(rows.tokens(), head_width_);
    for (Index t = 0; t < rows.tokens(); ++t)
      kernels::scale<Arch>(rows.rates(t, 0), rows.values.row(t), head_width_, all.row(t));
    return all;
  }

  Index head_width_;
};

}  // namespace rules

TTT_NAMESPACE_END
