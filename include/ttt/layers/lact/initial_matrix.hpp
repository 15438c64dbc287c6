// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <string>

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/matmul.hpp"

TTT_NAMESPACE_BEGIN

/// An initial W [H × out × in]: itself, or A [H × out × rank] and R [H × rank × in] of A R + ½ I.
template <class Element>
struct InitialMatrix {
  using Scalar = Element;
  Tensor<Scalar> full, left, right;

  InitialMatrix() = default;
  InitialMatrix(Index heads, Index out, Index in, Index rank) {
    if (rank == 0) full = Tensor<Scalar>(Shape{heads, out, in});
    if (rank > 0) left = Tensor<Scalar>(Shape{heads, out, rank}), right = Tensor<Scalar>(Shape{heads, rank, in});
  }
  void visit(std::string_view name, ParameterVisitor<Scalar> visitor) {
    const auto spread = [](Index inputs, double gain) {
      return ParameterInfo{parameter::draw::normal, gain / std::sqrt(static_cast<double>(inputs)), false};
    };
    if (full.shape().rank() > 0) return visitor(name, full, spread(full.shape()[2], 1));
    visitor(std::string(name) + ".w_left", left, spread(left.shape()[2], 0.5));
    visitor(std::string(name) + ".w_right", right, spread(right.shape()[2], 0.5));
  }

  /// to [in × out] = Wᵀ of a head.
  void write(Index head, MatrixView<Scalar> to) const {
    if (full.shape().rank() > 0) return kernels::transpose<Scalar>(full.slice(head), to);
    const auto a = left.slice(head), r = right.slice(head);
    for (Index i = 0; i < to.rows(); ++i)
      for (Index o = 0; o < to.columns(); ++o) {
        Scalar sum = i == o ? Scalar(0.5) : Scalar(0);
        for (Index k = 0; k < r.rows(); ++k) sum += a(o, k) * r(k, i);
        to(i, o) = sum;
      }
  }
  /// Adds the gradient d [in × out] of what `write` gave to those of `gradients`; unbound ones are not wanted.
  void add_gradient(Index head, MatrixView<const Scalar> d, InitialMatrix& gradients) const {
    const auto each = [&](Tensor<Scalar>& wanted, auto&& add) {
      if (wanted.empty()) return;
      const auto to = wanted.slice(head);
      for (Index i = 0; i < d.rows(); ++i)
        for (Index o = 0; o < d.columns(); ++o) add(to, i, o, d(i, o));
    };
    if (full.shape().rank() > 0)
      return each(gradients.full, [](auto to, Index i, Index o, Scalar g) { to(o, i) += g; });
    const auto a = left.slice(head), r = right.slice(head);
    each(gradients.left, [&](auto to, Index i, Index o, Scalar g) {
      for (Index k = 0; k < r.rows(); ++k) to(o, k) += g * r(k, i);
    });
    each(gradients.right, [&](auto to, Index i, Index o, Scalar g) {
      for (Index k = 0; k < r.rows(); ++k) to(k, i) += a(o, k) * g;
    });
  }
};

TTT_NAMESPACE_END
