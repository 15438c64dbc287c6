// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "ttt/core/parameters.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace nn {

/// How a State has the matrix M of an InitialMatrix.
enum class InitialPlace {
  as_it_is,   ///< x M is what reads it
  transposed  ///< M x is
};

/// The learned start M [H × R × C] of a fast weight, for each head
///
///     M = W, or
///     M = A R + c I,  A [R × r], R [r × C], I_{ij} = 1 where i = j  (LaCT, arXiv 2505.23884, and the TTT-KVB of
///                                                                   arXiv 2512.23675: few parameters, a large state)
template <class Element>
class InitialMatrix {
 public:
  using Scalar = Element;

  InitialMatrix() = default;
  /// Of rank 0: W, which `info` draws.
  InitialMatrix(std::string name, const Shape& shape, const ParameterInfo& info, Index rank, double identity,
                InitialPlace place)
      : name_(std::move(name)), info_(info), identity_(static_cast<Scalar>(identity)), place_(place) {
    if (rank == 0) {
      whole_ = Tensor<Scalar>(shape);
    } else {
      left_ = Tensor<Scalar>({shape[0], shape[1], rank});
      right_ = Tensor<Scalar>({shape[0], rank, shape[2]});
    }
  }

  /// LaCT's names of the factors where it is transposed as there.
  void visit(ParameterVisitor<Scalar> visitor) {
    if (!is_product()) return visitor(name_, whole_, info_);
    const std::string prefix = name_ + (is_transposed() ? ".w_" : ".");
    visitor(prefix + "left", left_, drawn(left_.shape()));
    visitor(prefix + "right", right_, drawn(right_.shape()));
  }

  /// Scalars of a head.
  Index size() const { return rows() * columns(); }
  /// Assigns what the State begins with, of a head.
  void load(Index head, Scalar* state) const {
    const MatrixView<Scalar> as_it_is(state, rows(), columns()), turned(state, columns(), rows());
    if (!is_product() && is_transposed()) return kernels::transpose<Scalar>(whole_.slice(head), turned);
    if (!is_product()) return void(std::copy_n(whole_.slice(head).data(), size(), state));
    const auto left = left_.slice(head), right = right_.slice(head);
    std::array<Scalar, stretch> part;
    for_each_stretch([&](Index i, Index j, Index count) {
      Scalar* const row = is_transposed() ? part.data() : as_it_is.row(i);
      std::fill_n(row, count, Scalar(0));
      for (Index r = 0; r < right.rows(); ++r) kernels::add_scaled(left(i, r), right.row(r) + j, count, row);
      if (i >= j && i < j + count) row[i - j] += identity_;
      for (Index c = 0; c < count && is_transposed(); ++c) turned(j + c, i) = row[c];
    });
  }
  /// Adds what the gradient of a head's State is for its tensors: dM, or dA = dM Rᵀ and dR = Aᵀ dM, where they are
  /// wanted.
  void add_gradient(Index head, const Scalar* d_state, InitialMatrix& gradient) const {
    const MatrixView<const Scalar> as_it_is(d_state, rows(), columns()), turned(d_state, columns(), rows());
    const auto of_head = [&](Tensor<Scalar>& wanted) {
      return wanted.empty() ? MatrixView<Scalar>() : wanted.slice(head);
    };
    const auto d_whole = of_head(gradient.whole_), d_left = of_head(gradient.left_), d_right = of_head(gradient.right_);
    if (!d_whole.empty() && !is_transposed()) kernels::add_scaled(Scalar(1), d_state, size(), d_whole.data());
    for (Index i = 0; i < d_whole.rows() && is_transposed(); ++i)
      for (Index j = 0; j < d_whole.columns(); ++j) d_whole(i, j) += turned(j, i);
    if (!is_product()) return;
    const auto left = left_.slice(head), right = right_.slice(head);
    std::array<Scalar, stretch> part;
    for_each_stretch([&](Index i, Index j, Index count) {
      for (Index c = 0; c < count && is_transposed(); ++c) part[static_cast<std::size_t>(c)] = turned(j + c, i);
      const Scalar* const d = is_transposed() ? part.data() : as_it_is.row(i);
      for (Index r = 0; r < right.rows(); ++r) {
        if (!d_left.empty()) d_left(i, r) += kernels::dot(d, right.row(r) + j, count);
        if (!d_right.empty()) kernels::add_scaled(left(i, r), d, count, d_right.row(r) + j);
      }
    });
  }

 private:
  static constexpr Index stretch = 64;

  bool is_product() const { return left_.shape().rank() > 0; }
  bool is_transposed() const { return place_ == InitialPlace::transposed; }
  Index rows() const { return is_product() ? left_.shape()[1] : whole_.shape()[1]; }
  Index columns() const { return is_product() ? right_.shape()[2] : whole_.shape()[2]; }
  /// As LaCT does, with a gain of one half: the standard deviation of what the factor answers is half that of its x.
  ParameterInfo drawn(const Shape& factor) const {
    return {parameter::draw::normal, 0.5 / std::sqrt(static_cast<double>(factor[is_transposed() ? 2 : 1])), false};
  }

  /// Calls body(i, j, count) for the rows of M: whole ones, or in pieces where their scalars lie apart.
  template <class Body>
  void for_each_stretch(Body&& body) const {
    const Index most = is_transposed() ? stretch : columns();
    for (Index i = 0; i < rows(); ++i)
      for (Index j = 0; j < columns(); j += most) body(i, j, std::min(most, columns() - j));
  }

  std::string name_;
  ParameterInfo info_;
  Scalar identity_ = 0;
  InitialPlace place_ = InitialPlace::as_it_is;
  Tensor<Scalar> whole_, left_, right_;
};

}  // namespace nn

TTT_NAMESPACE_END
