// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/kernels/block_product.hpp"
#include "ttt/rules/delta/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Tokens of a chunk: as many as the products of small blocks are made for. With longer ones the products of pairs of
/// tokens would outweigh those with the state.
inline constexpr Index delta_chunk = 16;

namespace detail {

/// The decays within a chunk of C tokens, and products over pairs of them: none, one number a token, or one for each
/// row of the state.
template <class Scalar>
class DeltaPairs {
 public:
  using Matrix = MatrixView<Scalar>;

  /// `width`: columns of g, 0 without decay.
  DeltaPairs(Index width, Arena& scratch)
      : width_(width),
        sums_(scratch.matrix<Scalar>(delta_chunk, width)),
        before_(scratch.matrix<Scalar>(delta_chunk, width)),
        after_(scratch.matrix<Scalar>(delta_chunk, width)),
        between_(scratch.matrix<Scalar>(width == 1 ? delta_chunk : 0, delta_chunk)) {}

  template <class Arch>
  void read(MatrixView<const Scalar> decay) {
    count_ = decay.rows();
    if (width_ == 0) return;
    for (Index i = 0; i < count_; ++i)
      for (Index d = 0; d < width_; ++d) sums_(i, d) = decay(i, d) + (i > 0 ? sums_(i - 1, d) : Scalar(0));
    for (Index i = 0; i < count_; ++i)
      for (Index d = 0; d < width_; ++d) after_(i, d) = sums_(count_ - 1, d) - sums_(i, d);
    kept_of<Arch>(sums_.data(), count_ * width_, before_.data());
    kept_of<Arch>(after_.data(), count_ * width_, after_.data());
    if (width_ > 1) return;
    for (Index i = 0; i < count_; ++i) {
      for (Index j = 0; j <= i; ++j) between_(i, j) = sums_(i, 0) - sums_(j, 0);
      kept_of<Arch>(between_.row(i), i + 1, between_.row(i));
    }
  }

  /// e^G and e^(G_C − G) [C × 1 or K]; empty without decay.
  MatrixView<const Scalar> before() const { return width_ == 0 ? Matrix() : before_.rows(0, count_); }
  MatrixView<const Scalar> after() const { return width_ == 0 ? Matrix() : after_.rows(0, count_); }

  /// state = Diag(e^(G_C)) state.
  template <class Arch>
  void keep(Matrix state) const {
    if (width_ == 0) return;
    for (Index d = 0; d < state.rows(); ++d) {
      const Scalar kept = before_(count_ - 1, width_ == 1 ? 0 : d);
      kernels::scale<Arch>(kept, state.row(d), state.columns(), state.row(d));
    }
  }

  /// pairs [C × C]: Σ_d a_id c_jd e^(G_id − G_jd) for j ≤ i; other places get any number.
  template <class Arch>
  void multiply(MatrixView<const Scalar> a, MatrixView<const Scalar> c, Matrix pairs, Arena& scratch) const {
    if (width_ <= 1) {
      kernels::block_product_transposed<Arch, Scalar>(a, c, pairs, scratch);
      for (Index i = 0; i < pairs.rows() && width_ == 1; ++i)
        for (Index j = 0; j <= i; ++j) pairs(i, j) *= between_(i, j);
      return;
    }
    for (Index i = 0; i < pairs.rows(); ++i)
      for (Index j = 0; j <= i; ++j)
        pairs(i, j) = simd::sum_packs<Scalar, Arch>(a.columns(), [&]<class P>(P, Index d) TTT_INLINE_LAMBDA {
          return P::load(a.row(i) + d) * P::load(c.row(j) + d) * kept<P>(i, j, d);
        });
  }

  /// Backward of `multiply` for a given `pairs`, its result, and d_pairs, both zero where j > i: adds to d_a and d_c,
  /// and to d_sums, the gradient of G.
  template <class Arch>
  void multiply_backward(MatrixView<const Scalar> a, MatrixView<const Scalar> c, MatrixView<const Scalar> pairs,
                         Matrix d_pairs, Matrix d_a, Matrix d_c, Matrix d_sums) const {
    if (width_ > 1) return by_row_backward<Arch>(a, c, d_pairs, d_a, d_c, d_sums);
    for (Index i = 0; i < pairs.rows() && width_ == 1; ++i)
      for (Index j = 0; j <= i; ++j) {
        const Scalar of_exponent = d_pairs(i, j) * pairs(i, j);
        d_sums(i, 0) += of_exponent;
        d_sums(j, 0) -= of_exponent;
        d_pairs(i, j) *= between_(i, j);
      }
    kernels::block_product_causal<Arch, Scalar>(d_pairs, 0, c, d_a);
    kernels::block_product_causal_transposed<Arch, Scalar>(d_pairs, 0, a, d_c);
  }

 private:
  template <class P>
  TTT_INLINE P kept(Index i, Index j, Index d) const {
    return kernels::weight_exp(P::load(sums_.row(i) + d) - P::load(sums_.row(j) + d));
  }

  template <class Arch>
  void by_row_backward(MatrixView<const Scalar> a, MatrixView<const Scalar> c, MatrixView<const Scalar> d_pairs,
                       Matrix d_a, Matrix d_c, Matrix d_sums) const {
    for (Index i = 0; i < d_pairs.rows(); ++i)
      for (Index j = 0; j <= i; ++j)
        simd::for_each_pack<Scalar, Arch>(a.columns(), [&]<class P>(P, Index d) TTT_INLINE_LAMBDA {
          const P scaled = P(d_pairs(i, j)) * kept<P>(i, j, d);
          const P of_a = scaled * P::load(c.row(j) + d), of_exponent = of_a * P::load(a.row(i) + d);
          (P::load(d_a.row(i) + d) + of_a).store(d_a.row(i) + d);
          simd::fma(scaled, P::load(a.row(i) + d), P::load(d_c.row(j) + d)).store(d_c.row(j) + d);
          if (i == j) return;
          (P::load(d_sums.row(i) + d) + of_exponent).store(d_sums.row(i) + d);
          (P::load(d_sums.row(j) + d) - of_exponent).store(d_sums.row(j) + d);
        });
  }

  Index width_, count_ = 0;
  Matrix sums_, before_, after_, between_;
};

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
