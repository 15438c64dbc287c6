// SPDX-License-Identifier: MIT
/// @file
/// What a matrix of the inner model does at the end of a chunk, from the sum S of its tokens' steps and the mean m̄ of
/// their momentum:
///
///     G = S + m̄ M,   M = G,   U = NS(G) or G,   W ← (W + U) ∘ ρ / (‖·‖ + ε)   column by column
///
/// with ρ the lengths that the columns (rows of the published matrices) had when the sequence began.
#pragma once

#include <algorithm>
#include <cmath>

#include "ttt/rules/large_chunk/newton_schulz.hpp"
#include "ttt/rules/large_chunk/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// Added to the length of a column where it is divided by that.
inline constexpr double column_epsilon = 1e-5;

/// lengths [1 × O] of the columns of w [I × O].
template <class Arch, class Scalar>
void column_lengths(MatrixView<const Scalar> w, MatrixView<Scalar> lengths) {
  Scalar* const sums = lengths.data();
  std::fill_n(sums, w.columns(), Scalar(0));
  for (Index i = 0; i < w.rows(); ++i)
    simd::for_each_pack<Scalar, Arch>(w.columns(), [&]<class P>(P, Index o) TTT_INLINE_LAMBDA {
      const P x = P::load(w.row(i) + o);
      simd::fma(x, x, P::load(sums + o)).store(sums + o);
    });
  for (Index o = 0; o < w.columns(); ++o) sums[o] = std::sqrt(sums[o]);
}

/// d_w += the gradient of w for that of its columns' lengths.
template <class Arch, class Scalar>
void column_lengths_backward(MatrixView<const Scalar> w, MatrixView<const Scalar> lengths,
                             MatrixView<const Scalar> d_lengths, MatrixView<Scalar> d_w, Arena& scratch) {
  const Arena::Frame frame(scratch);
  Scalar* const factors = scratch.allocate<Scalar>(w.columns());
  for (Index o = 0; o < w.columns(); ++o)
    factors[o] = lengths(0, o) > Scalar(0) ? d_lengths(0, o) / lengths(0, o) : Scalar(0);
  kernels::multiply_add_rows<Arch, Scalar>(w, {factors, w.rows(), w.columns(), 0}, d_w);
}

/// Columns of w get the lengths given: w ∘ ρ / (‖w‖ + ε).
template <class Arch, class Scalar>
void scale_columns(MatrixView<Scalar> w, MatrixView<const Scalar> lengths, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto factors = scratch.matrix<Scalar>(1, w.columns());
  column_lengths<Arch, Scalar>(w, factors);
  for (Index o = 0; o < w.columns(); ++o)
    factors(0, o) = lengths(0, o) / (factors(0, o) + static_cast<Scalar>(column_epsilon));
  kernels::multiply_rows<Arch, Scalar>(w, {factors.data(), w.rows(), w.columns(), 0}, w);
}

/// Backward of `scale_columns` for the w before: turns d_w, adds to d_lengths.
template <class Arch, class Scalar>
void scale_columns_backward(MatrixView<const Scalar> w, MatrixView<const Scalar> lengths, MatrixView<Scalar> d_w,
                            MatrixView<Scalar> d_lengths, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index columns = w.columns();
  const auto norms = scratch.matrix<Scalar>(1, columns), along = scratch.zeros<Scalar>(1, columns);
  column_lengths<Arch, Scalar>(w, norms);
  for (Index i = 0; i < w.rows(); ++i) kernels::multiply_add_rows<Arch, Scalar>(w.rows(i, 1), d_w.rows(i, 1), along);
  for (Index o = 0; o < columns; ++o) {
    const Scalar inverse = Scalar(1) / (norms(0, o) + static_cast<Scalar>(column_epsilon));
    d_lengths(0, o) += along(0, o) * inverse;
    const Scalar factor = lengths(0, o) * inverse;
    along(0, o) = norms(0, o) > Scalar(0) ? -along(0, o) * factor * inverse / norms(0, o) : Scalar(0);
    norms(0, o) = factor;
  }
  kernels::multiply_rows<Arch, Scalar>(d_w, {norms.data(), w.rows(), columns, 0}, d_w);
  kernels::multiply_add_rows<Arch, Scalar>(w, {along.data(), w.rows(), columns, 0}, d_w);
}

/// S + m̄ M, in `gradient`, which may be S.
template <class Arch, class Scalar>
void chunk_gradient(const LearnedMatrix<Scalar>& matrix, Scalar mean, MatrixView<Scalar> gradient) {
  kernels::copy_rows<Arch, Scalar>(matrix.sum, gradient);
  if (matrix.momentum.empty()) return;
  kernels::add_scaled<Arch>(mean, matrix.momentum.data(), gradient.rows() * gradient.columns(), gradient.data());
}

/// Ends a chunk: W and M advance, the sum begins at zero again.
template <class Arch, class Scalar>
void end_chunk(const LearnedMatrix<Scalar>& matrix, Scalar mean, bool orthogonal, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto gradient = matrix.sum;
  chunk_gradient<Arch, Scalar>(matrix, mean, gradient);
  if (!matrix.momentum.empty()) kernels::copy_rows<Arch, Scalar>(gradient, matrix.momentum);
  if (orthogonal) NewtonSchulz<Arch, Scalar>(gradient.rows(), gradient.columns(), scratch).run(gradient, gradient);
  kernels::add_rows<Arch, Scalar>(gradient, matrix.weight);
  if (!matrix.lengths.empty()) scale_columns<Arch, Scalar>(matrix.weight, matrix.lengths, scratch);
  fill(matrix.sum, Scalar(0));
}

/// Backward of `end_chunk` for the matrix before: turns `d`, returns the gradient of m̄.
template <class Arch, class Scalar>
Scalar end_chunk_backward(const LearnedMatrix<Scalar>& before, Scalar mean, bool orthogonal,
                          const LearnedMatrix<Scalar>& d, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index rows = before.sum.rows(), columns = before.sum.columns();
  const auto step = scratch.matrix<Scalar>(rows, columns);
  chunk_gradient<Arch, Scalar>(before, mean, step);
  NewtonSchulz<Arch, Scalar> iteration(orthogonal ? rows : 0, orthogonal ? columns : 0, scratch);
  if (orthogonal) iteration.run(step, step);
  if (!before.lengths.empty()) {
    kernels::add_rows<Arch, Scalar>(before.weight, step);
    scale_columns_backward<Arch, Scalar>(step, before.lengths, d.weight, d.lengths, scratch);
  }
  if (orthogonal)
    iteration.backward(d.weight, d.sum);
  else
    kernels::copy_rows<Arch, Scalar>(d.weight, d.sum);
  if (before.momentum.empty()) return 0;
  kernels::add_rows<Arch, Scalar>(d.momentum, d.sum);
  fill(d.momentum, Scalar(0));
  kernels::add_scaled<Arch>(mean, d.sum.data(), rows * columns, d.momentum.data());
  return kernels::dot<Arch>(d.sum.data(), before.momentum.data(), rows * columns);
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
