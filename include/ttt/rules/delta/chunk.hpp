// SPDX-License-Identifier: MIT
/// @file
/// A chunk of tokens of the delta family at once. With G the running sum of g within the chunk, S the state before it
/// and D_ij = e^(G_i − G_j) for j ≤ i (by rows of the state where g is):
///
///     A = stril(e cᵀ ∘ D),   B = tril(q cᵀ ∘ D)
///     (I + A) U = v − (e^G ∘ e) S            what the chunk learns, by forward substitution
///     O = (e^G ∘ q) S + B U                  what it answers
///     S ← Diag(e^(G_C)) S + (e^(G_C − G) ∘ c)ᵀ U
///
/// Exponents are sums of g over later tokens, so none is positive, but those of a factor that is made so that none is
/// large (delta_factored_decay): nothing overflows, however strong the decay.
#pragma once

#include "ttt/kernels/block_product.hpp"
#include "ttt/rules/delta/pairs.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// One chunk after another of one head. What it computes of a chunk stays until the next one.
template <class Arch, class Scalar>
class DeltaChunk {
 public:
  using Rows = DeltaRows<const Scalar>;
  using Matrix = MatrixView<Scalar>;

  /// Room for chunks of the kind and sizes of `rows`.
  DeltaChunk(const Rows& rows, Arena& scratch)
      : pairs_(rows.decay.columns(), scratch),
        erase_memory_(room(rows.erase, scratch)),
        query_memory_(room(rows.queries, scratch)),
        write_memory_(room(rows.write, scratch)),
        erase_pairs_(scratch.matrix<Scalar>(delta_chunk, delta_chunk)),
        query_pairs_(scratch.matrix<Scalar>(delta_chunk, delta_chunk)),
        learned_(scratch.matrix<Scalar>(delta_chunk, rows.value_width())),
        scratch_(scratch) {}

  /// Reads the rows of a chunk that begins with `state` [K × V].
  void read(const Rows& rows, MatrixView<const Scalar> state) {
    rows_ = rows;
    const Index count = rows.tokens();
    pairs_.template read<Arch>(rows.decay, rows.write);
    erase = decayed(pairs_.before(), rows.erase, erase_memory_);
    queries = decayed(pairs_.before(), rows.queries, query_memory_);
    write = decayed(pairs_.after(), rows.write, write_memory_);
    query_pairs = query_pairs_.rows(0, count).columns(0, count);
    pairs_.template multiply<Arch>({rows.queries, queries}, query_pairs, scratch_);
    learned = learned_.rows(0, count);
    kernels::copy_rows<Arch>(rows.values, learned);
    if (rows.erase.empty()) return;
    erase_pairs = erase_pairs_.rows(0, count).columns(0, count);
    pairs_.template multiply<Arch>({rows.erase, erase}, erase_pairs, scratch_);
    subtract(erase, state, learned);
    for (Index i = 1; i < count; ++i)
      for (Index j = 0; j < i; ++j)
        kernels::add_scaled<Arch>(-erase_pairs(i, j), learned.row(j), learned.columns(), learned.row(i));
  }

  /// Assigns the answers [C × V] of the chunk that began with `state`.
  void answer(MatrixView<const Scalar> state, Matrix out) const {
    kernels::block_product<Arch>(kernels::Left<Scalar>(queries), state, out);
    kernels::block_product_causal<Arch, Scalar>(query_pairs, 0, learned, out);
  }

  /// Moves `state` to the end of the chunk.
  void advance(Matrix state) const {
    pairs_.template keep<Arch>(state);
    kernels::block_product<Arch>(kernels::transposed(write), learned, state, kernels::Output::accumulate);
  }

  const Rows& rows() const { return rows_; }
  const DeltaPairs<Scalar>& pairs() const { return pairs_; }

  MatrixView<const Scalar> erase, queries, write;  ///< e^G ∘ e, e^G ∘ q, e^(G_C − G) ∘ c [C × K]
  Matrix erase_pairs, query_pairs;                 ///< A, B [C × C]; what lies above the diagonals has no meaning
  Matrix learned;                                  ///< U [C × V]

 private:
  /// y −= a · b.
  void subtract(MatrixView<const Scalar> a, MatrixView<const Scalar> b, Matrix y) const {
    const Arena::Frame frame(scratch_);
    const auto product = scratch_.matrix<Scalar>(y.rows(), y.columns());
    kernels::block_product<Arch>(kernels::Left<Scalar>(a), b, product);
    for (Index r = 0; r < y.rows(); ++r) kernels::add_scaled<Arch>(Scalar(-1), product.row(r), y.columns(), y.row(r));
  }
  static Matrix room(MatrixView<const Scalar> of, Arena& scratch) {
    return scratch.matrix<Scalar>(of.empty() ? 0 : delta_chunk, of.columns());
  }
  static MatrixView<const Scalar> decayed(MatrixView<const Scalar> factor, MatrixView<const Scalar> x, Matrix memory) {
    if (factor.empty() || x.empty()) return x;
    const Matrix to = memory.rows(0, x.rows());
    scale_rows<Arch, Scalar>(factor, x, to);
    return to;
  }

  Rows rows_;
  DeltaPairs<Scalar> pairs_;
  Matrix erase_memory_, query_memory_, write_memory_, erase_pairs_, query_pairs_, learned_;
  Arena& scratch_;
};

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
