// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/block_product.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/ttt/head.hpp"

TTT_NAMESPACE_BEGIN

/// The learned start of one fast weight [H × I × O], for each head
///
///   W₀ = W₀, as published, or
///   W₀ = A R + c I,  A [I × r], R [r × O], I_{ij} = 1 where i = j  (LaCT, arXiv 2505.23884, and the TTT-KVB of
///                                                                  arXiv 2512.23675: few parameters, a large state)
///
/// Biases are as published in either case.
template <class Scalar>
class TttInitialWeight {
 public:
  /// Of rank 0: as published.
  TttInitialWeight(const rules::FastWeight& weight, Index rank, double identity)
      : name_(weight.name), info_(weight.info), identity_(static_cast<Scalar>(identity)) {
    const Index heads = weight.shape[0], inputs = weight.shape[1], outputs = weight.shape[2];
    if (rank > 0 && inputs > 1) {
      left_ = Tensor<Scalar>({heads, inputs, rank});
      right_ = Tensor<Scalar>({heads, rank, outputs});
    } else {
      whole_ = Tensor<Scalar>(weight.shape);
    }
  }

  void visit(ParameterVisitor<Scalar> visitor) {
    if (!is_product()) return visitor(name_, whole_, info_);
    visitor(name_ + ".left", left_, drawn(left_.shape()[1]));
    visitor(name_ + ".right", right_, drawn(right_.shape()[1]));
  }

  /// Scalars of a head.
  Index size() const {
    return is_product() ? left_.shape()[1] * right_.shape()[2] : whole_.shape()[1] * whole_.shape()[2];
  }
  /// Assigns W₀ of a head, row after row.
  void load(Index head, Scalar* to) const {
    if (!is_product()) {
      std::copy_n(whole_.slice(head).data(), size(), to);
      return;
    }
    const auto left = left_.slice(head), right = right_.slice(head);
    const MatrixView<Scalar> weight(to, left.rows(), right.columns());
    kernels::block_product<simd::Native>(kernels::Left<Scalar>(left), right, weight);
    for (Index i = 0; i < std::min(weight.rows(), weight.columns()); ++i) weight(i, i) += identity_;
  }
  /// Adds what the gradient of a head's W₀ is for its tensors: dW₀, or dA = dW₀ Rᵀ and dR = Aᵀ dW₀, where they are
  /// wanted.
  void add_gradient(Index head, const Scalar* d, TttInitialWeight& gradient) const {
    if (!gradient.whole_.empty())
      kernels::add_scaled<simd::Native>(Scalar(1), d, size(), gradient.whole_.slice(head).data());
    if (!is_product()) return;
    const auto left = left_.slice(head), right = right_.slice(head);
    const MatrixView<const Scalar> d_weight(d, left.rows(), right.columns());
    if (!gradient.left_.empty()) {
      const auto d_left = gradient.left_.slice(head);
      for (Index i = 0; i < left.rows(); ++i)
        for (Index r = 0; r < left.columns(); ++r)
          d_left(i, r) += kernels::dot<simd::Native>(d_weight.row(i), right.row(r), right.columns());
    }
    if (!gradient.right_.empty())
      kernels::block_product<simd::Native>(kernels::transposed(left), d_weight, gradient.right_.slice(head),
                                           kernels::Output::accumulate);
  }

 private:
  bool is_product() const { return left_.shape().rank() > 0; }
  /// As LaCT does, with a gain of one half: the standard deviation of what the factor answers is half that of its x.
  static ParameterInfo drawn(Index inputs) {
    return {parameter::draw::normal, 0.5 / std::sqrt(static_cast<double>(inputs)), false};
  }

  std::string name_;
  ParameterInfo info_;
  Scalar identity_;
  Tensor<Scalar> whole_, left_, right_;
};

TTT_NAMESPACE_END
