// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/kernels/block_product.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/delta/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Tokens of a chunk: as many as the products of small blocks are made for. With longer ones the products of pairs of
/// tokens would outweigh those with the state.
inline constexpr Index delta_chunk = 16;

namespace detail {

/// Where there is a decay for each row of the state, e^(G_i − G_j) = e^(G_i) e^(−G_j) makes one product of all pairs of
/// tokens before G falls below this: both factors are far from the ends of a float. Pairs with a later token take the
/// exponential of the difference. Which token is one does not depend on those behind it.
inline constexpr double delta_factored_decay = -40;

/// Some rows of a chunk, x and e^G ∘ x [C × K].
template <class Scalar>
struct DecayedRows {
  MatrixView<const Scalar> rows, decayed;

  DecayedRows first(Index count) const { return {rows.rows(0, count), decayed.rows(0, count)}; }
};

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
        between_(scratch.matrix<Scalar>(width == 1 ? delta_chunk : 0, delta_chunk)),
        inverse_(scratch.matrix<Scalar>(width > 1 ? delta_chunk : 0, width)),
        raised_(scratch.matrix<Scalar>(width > 1 ? delta_chunk : 0, width)) {}

  /// g and c of a chunk.
  template <class Arch>
  void read(MatrixView<const Scalar> decay, MatrixView<const Scalar> write) {
    count_ = decay.rows();
    write_ = write;
    if (width_ == 0) return;
    for (Index i = 0; i < count_; ++i)
      for (Index d = 0; d < width_; ++d) sums_(i, d) = decay(i, d) + (i > 0 ? sums_(i - 1, d) : Scalar(0));
    kept_of<Arch>(sums_.data(), count_ * width_, before_.data());
    if (width_ > 1) read_factors<Arch>();
    read_after<Arch>();
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
  void multiply(const DecayedRows<Scalar>& a, Matrix pairs, Arena& scratch) const {
    const Index all = width_ > 1 ? factored_ : pairs.rows();
    const auto block = pairs.rows(0, all).columns(0, all);
    if (width_ > 1) {
      kernels::block_product_transposed<Arch, Scalar>(a.first(all).decayed, raised_.rows(0, all), block, scratch);
    } else {
      kernels::block_product_transposed<Arch, Scalar>(a.rows, write_, block, scratch);
      for (Index i = 0; i < all && width_ == 1; ++i)
        for (Index j = 0; j <= i; ++j) pairs(i, j) *= between_(i, j);
    }
    for (Index i = all; i < pairs.rows(); ++i)
      for (Index j = 0; j <= i; ++j)
        pairs(i, j) = simd::sum_packs<Scalar, Arch>(width_, [&]<class P>(P, Index d) TTT_INLINE_LAMBDA {
          return P::load(a.rows.row(i) + d) * P::load(write_.row(j) + d) * kept<P>(i, j, d);
        });
  }

  /// Backward of `multiply` for a given `pairs`, its result, and d_pairs, both zero where j > i: adds to d_a and d_c,
  /// and to d_sums, the gradient of G.
  template <class Arch>
  void multiply_backward(const DecayedRows<Scalar>& a, MatrixView<const Scalar> pairs, Matrix d_pairs, Matrix d_a,
                         Matrix d_c, Matrix d_sums, Arena& scratch) const {
    if (width_ > 1) {
      factored_backward<Arch>(a.first(factored_), d_pairs, d_a, d_c, d_sums, scratch);
      return by_row_backward<Arch>(a.rows, d_pairs, d_a, d_c, d_sums);
    }
    for (Index i = 0; i < pairs.rows() && width_ == 1; ++i)
      for (Index j = 0; j <= i; ++j) {
        const Scalar of_exponent = d_pairs(i, j) * pairs(i, j);
        d_sums(i, 0) += of_exponent;
        d_sums(j, 0) -= of_exponent;
        d_pairs(i, j) *= between_(i, j);
      }
    kernels::block_product_causal<Arch, Scalar>(d_pairs, 0, write_, d_a);
    kernels::block_product_causal_transposed<Arch, Scalar>(d_pairs, 0, a.rows, d_c);
  }

 private:
  template <class P>
  TTT_INLINE P kept(Index i, Index j, Index d) const {
    return kernels::weight_exp(P::load(sums_.row(i) + d) - P::load(sums_.row(j) + d));
  }

  /// How many tokens are factored, and e^(−G) and e^(−G) ∘ c of them.
  template <class Arch>
  void read_factors() {
    const auto is_far = [&](Index i) {
      bool far = false;
      for (Index d = 0; d < width_; ++d) far |= !(sums_(i, d) >= Scalar(delta_factored_decay));
      return far;
    };
    for (factored_ = count_; factored_ > 0 && is_far(factored_ - 1);) --factored_;  // no G grows from token to token
    simd::for_each_pack<Scalar, Arch>(factored_ * width_, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
      (P(Scalar(1)) / P::load(before_.data() + i)).store(inverse_.data() + i);
    });
    scale_rows<Arch, Scalar>(inverse_, write_.rows(0, factored_), raised_.rows(0, factored_));
  }
  template <class Arch>
  void read_after() {
    if (width_ > 1 && factored_ == count_)
      return kernels::multiply_rows<Arch, Scalar>({before_.row(count_ - 1), count_, width_, 0},
                                                  inverse_.rows(0, count_), after_);
    for (Index i = 0; i < count_; ++i)
      for (Index d = 0; d < width_; ++d) after_(i, d) = sums_(count_ - 1, d) - sums_(i, d);
    kept_of<Arch>(after_.data(), count_ * width_, after_.data());
  }

  /// The part of the tokens that are factored: of (e^G ∘ a) · (e^(−G) ∘ c).
  template <class Arch>
  void factored_backward(const DecayedRows<Scalar>& a, MatrixView<const Scalar> d_pairs, Matrix d_a, Matrix d_c,
                         Matrix d_sums, Arena& scratch) const {
    const Arena::Frame frame(scratch);
    const auto d = d_pairs.rows(0, factored_).columns(0, factored_);
    const auto of_a = scratch.zeros<Scalar>(factored_, width_), of_c = scratch.zeros<Scalar>(factored_, width_);
    kernels::block_product_causal<Arch, Scalar>(d, 0, raised_.rows(0, factored_), of_a);
    kernels::block_product_causal_transposed<Arch, Scalar>(d, 0, a.decayed, of_c);
    for (Index i = 0; i < factored_; ++i)
      simd::for_each_pack<Scalar, Arch>(width_, [&]<class P>(P, Index n) TTT_INLINE_LAMBDA {
        const P by_a = P::load(before_.row(i) + n) * P::load(of_a.row(i) + n);
        const P by_c = P::load(inverse_.row(i) + n) * P::load(of_c.row(i) + n);
        (P::load(d_a.row(i) + n) + by_a).store(d_a.row(i) + n);
        (P::load(d_c.row(i) + n) + by_c).store(d_c.row(i) + n);
        const P of_exponent = by_a * P::load(a.rows.row(i) + n) - by_c * P::load(write_.row(i) + n);
        (P::load(d_sums.row(i) + n) + of_exponent).store(d_sums.row(i) + n);
      });
  }

  /// The part of pairs with a later token.
  template <class Arch>
  void by_row_backward(MatrixView<const Scalar> a, MatrixView<const Scalar> d_pairs, Matrix d_a, Matrix d_c,
                       Matrix d_sums) const {
    for (Index i = factored_; i < d_pairs.rows(); ++i)
      for (Index j = 0; j <= i; ++j)
        simd::for_each_pack<Scalar, Arch>(width_, [&]<class P>(P, Index d) TTT_INLINE_LAMBDA {
          const P scaled = P(d_pairs(i, j)) * kept<P>(i, j, d);
          const P of_a = scaled * P::load(write_.row(j) + d), of_exponent = of_a * P::load(a.row(i) + d);
          (P::load(d_a.row(i) + d) + of_a).store(d_a.row(i) + d);
          simd::fma(scaled, P::load(a.row(i) + d), P::load(d_c.row(j) + d)).store(d_c.row(j) + d);
          if (i == j) return;
          (P::load(d_sums.row(i) + d) + of_exponent).store(d_sums.row(i) + d);
          (P::load(d_sums.row(j) + d) - of_exponent).store(d_sums.row(j) + d);
        });
  }

  Index width_, count_ = 0;
  Index factored_ = 0;  // tokens: the first of the chunk
  MatrixView<const Scalar> write_;
  Matrix sums_, before_, after_, between_, inverse_, raised_;
};

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
