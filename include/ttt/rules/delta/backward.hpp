// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/delta/chunk.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// sums [1 or K] += factor · a ∘ b of one row [K], summed up where one number stands for the row.
template <class Arch, class Scalar>
void add_products(Scalar factor, const Scalar* a, const Scalar* b, Index width, VectorView<Scalar> sums) {
  if (sums.size() == 1)
    sums[0] += factor * kernels::dot<Arch>(a, b, width);
  else
    for (Index d = 0; d < width; ++d) sums[d] += factor * a[d] * b[d];
}

/// The adjoint of a chunk that has been read and began with `state`: d_state goes from the gradient of the state behind
/// it to that of the state before it, `d` is assigned.
template <class Arch, class Scalar>
class DeltaChunkBackward {
 public:
  using Matrix = MatrixView<Scalar>;

  DeltaChunkBackward(const DeltaChunk<Arch, Scalar>& chunk, MatrixView<const Scalar> state, const DeltaRows<Scalar>& d,
                     Arena& scratch)
      : chunk_(chunk),
        rows_(chunk.rows()),
        state_(state),
        d_(d),
        scratch_(scratch),
        d_sums_(scratch.zeros<Scalar>(rows_.tokens(), rows_.decay.columns())) {}

  void run(MatrixView<const Scalar> d_out, Matrix d_state) {
    const Index count = rows_.tokens();
    const auto d_learned = scratch_.matrix<Scalar>(count, rows_.value_width());
    kernels::block_product<Arch>(kernels::Left<Scalar>(chunk_.write), d_state, d_learned);
    kernels::block_product_causal_transposed<Arch, Scalar>(chunk_.query_pairs, 0, d_out, d_learned);
    write(d_state);
    kernels::block_product_transposed<Arch, Scalar>(d_out, state_, d_.queries, scratch_);
    before(chunk_.queries, d_.queries);
    keep(d_state);
    kernels::block_product<Arch>(kernels::transposed(chunk_.queries), d_out, d_state, kernels::Output::accumulate);
    substitute(d_learned);
    kernels::copy_rows<Arch>(d_learned, d_.values);
    if (!rows_.erase.empty()) erase(d_learned, d_state);
    const auto d_pairs = scratch_.matrix<Scalar>(count, count);
    kernels::block_product_transposed<Arch, Scalar>(d_out, chunk_.learned, d_pairs, scratch_);
    chunk_.pairs().template multiply_backward<Arch>({rows_.queries, chunk_.queries}, chunk_.query_pairs, d_pairs,
                                                    d_.queries, d_.write, d_sums_, scratch_);
    // Every G_i is a sum over the tokens up to i.
    for (Index i = count - 1; i >= 0; --i)
      for (Index d = 0; d < d_sums_.columns(); ++d)
        d_.decay(i, d) = d_sums_(i, d) + (i + 1 < count ? d_.decay(i + 1, d) : Scalar(0));
  }

 private:
  VectorView<Scalar> sums(Index i) const { return {d_sums_.row(i), d_sums_.columns()}; }

  /// From the gradient of e^G ∘ x to that of x.
  void before(MatrixView<const Scalar> scaled, Matrix d) {
    if (rows_.decay.empty()) return;
    for (Index i = 0; i < d.rows(); ++i) add_products<Arch>(Scalar(1), d.row(i), scaled.row(i), d.columns(), sums(i));
    scale_rows<Arch, Scalar>(chunk_.pairs().before(), d, d);
  }

  /// S ← … + (e^(G_C − G) ∘ c)ᵀ U: assigns d.write.
  void write(MatrixView<const Scalar> d_state) {
    kernels::block_product_transposed<Arch, Scalar>(chunk_.learned, d_state, d_.write, scratch_);
    if (rows_.decay.empty()) return;
    const Index last = rows_.tokens() - 1;
    for (Index i = 0; i < last; ++i) {
      const Scalar *const d = d_.write.row(i), *const scaled = chunk_.write.row(i);
      add_products<Arch>(Scalar(1), d, scaled, rows_.key_width(), sums(last));
      add_products<Arch>(Scalar(-1), d, scaled, rows_.key_width(), sums(i));
    }
    scale_rows<Arch, Scalar>(chunk_.pairs().after(), d_.write, d_.write);
  }

  /// S ← Diag(e^(G_C)) S + …
  void keep(Matrix d_state) {
    if (rows_.decay.empty()) return;
    chunk_.pairs().template keep<Arch>(d_state);
    const auto last = sums(rows_.tokens() - 1);
    for (Index d = 0; d < d_state.rows(); ++d)
      last[last.size() == 1 ? 0 : d] += kernels::dot<Arch>(d_state.row(d), state_.row(d), d_state.columns());
  }

  /// (I + A)ᵀ x = d_learned, in its place.
  void substitute(Matrix d_learned) const {
    if (rows_.erase.empty()) return;
    for (Index i = d_learned.rows() - 1; i > 0; --i)
      for (Index j = 0; j < i; ++j)
        kernels::add_scaled<Arch>(-chunk_.erase_pairs(i, j), d_learned.row(i), d_learned.columns(), d_learned.row(j));
  }

  /// A and (e^G ∘ e) S, both subtracted: `d_values` is the gradient of v.
  void erase(Matrix d_values, Matrix d_state) {
    for (Index i = 0; i < d_values.rows(); ++i)
      for (Index n = 0; n < d_values.columns(); ++n) d_values(i, n) = -d_values(i, n);
    kernels::block_product_transposed<Arch, Scalar>(d_values, state_, d_.erase, scratch_);
    before(chunk_.erase, d_.erase);
    kernels::block_product<Arch>(kernels::transposed(chunk_.erase), d_values, d_state, kernels::Output::accumulate);
    const auto d_pairs = scratch_.matrix<Scalar>(d_values.rows(), d_values.rows());
    kernels::block_product_transposed<Arch, Scalar>(d_values, chunk_.learned, d_pairs, scratch_);
    for (Index i = 0; i < d_pairs.rows(); ++i) d_pairs(i, i) = Scalar(0);
    chunk_.pairs().template multiply_backward<Arch>({rows_.erase, chunk_.erase}, chunk_.erase_pairs, d_pairs, d_.erase,
                                                    d_.write, d_sums_, scratch_);
  }

  const DeltaChunk<Arch, Scalar>& chunk_;
  const DeltaRows<const Scalar>& rows_;
  MatrixView<const Scalar> state_;
  const DeltaRows<Scalar>& d_;
  Arena& scratch_;
  Matrix d_sums_;
};

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
