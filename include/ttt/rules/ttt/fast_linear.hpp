// SPDX-License-Identifier: MIT
/// @file
/// A linear map whose weights learn while it reads: the building block of TTT-Linear (one of them) and TTT-MLP (two).
///
/// Inside a mini-batch all gradients are taken at its first weights W, so that after token r the weights are
///   W(r) = W − τ_r Σ_{s ≤ r} η_s keys_sᵀ g_s,   b(r) = b − τ_r Σ_{s ≤ r} η_s g_s,
/// and applying them needs none of the W(r) (TTT paper, section 2.5, the dual form):
///   x_r W(r) + b(r) = x_r W + b − Σ_{s ≤ r} τ_r η_s (x_r · keys_s + 1) g_s.
#pragma once

#include "ttt/kernels/matmul.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Rows [first, first + count) of the mini-batch that is open: what one call contributes to it.
struct MiniBatchPart {
  Index first = 0;
  Index count = 0;
  Index end() const { return first + count; }
};

/// Learning rates of a mini-batch: η_s of each token read so far (kept in the state) and τ_r of each position.
template <class Scalar>
struct InnerRates {
  VectorView<const Scalar> token;   ///< η [K], per key
  VectorView<const Scalar> factor;  ///< τ [K], per query
};

/// The fast weights of one map and the rows its open mini-batch has left so far.
template <class Scalar>
struct FastLinear {
  MatrixView<Scalar> weight;     ///< W [I × O] at the start of the mini-batch
  MatrixView<Scalar> bias;       ///< b [1 × O]
  MatrixView<Scalar> keys;       ///< inputs [K × I] of the tokens read
  MatrixView<Scalar> gradients;  ///< ∂loss/∂output [K × O] of the tokens read
};

namespace detail {

/// z[r] += row for every r.
template <class Arch, class Scalar>
void add_row(MatrixView<const Scalar> row, MatrixView<Scalar> z) {
  for (Index r = 0; r < z.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(z.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P::load(z.row(r) + c) + P::load(row.data() + c)).store(z.row(r) + c);
    });
}

/// sum += Σ_r z[r].
template <class Arch, class Scalar>
void add_column_sums(MatrixView<const Scalar> z, MatrixView<Scalar> sum) {
  for (Index r = 0; r < z.rows(); ++r)
    simd::for_each_pack<Scalar, Arch>(z.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P::load(sum.data() + c) + P::load(z.row(r) + c)).store(sum.data() + c);
    });
}

/// y += factor · x.
template <class Arch, class Scalar>
void add_scaled(Scalar factor, const Scalar* x, Index count, Scalar* y) {
  simd::for_each_pack<Scalar, Arch>(count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
    simd::fma(P(factor), P::load(x + c), P::load(y + c)).store(y + c);
  });
}

/// y += x, both [n × C].
template <class Arch, class Scalar>
void add_rows(MatrixView<const Scalar> x, MatrixView<Scalar> y) {
  for (Index r = 0; r < x.rows(); ++r) add_scaled<Arch>(Scalar(1), x.row(r), x.columns(), y.row(r));
}

template <class Arch, class Scalar>
Scalar dot(const Scalar* a, const Scalar* b, Index count) {
  return simd::sum_packs<Scalar, Arch>(
      count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { return P::load(a + c) * P::load(b + c); });
}

/// The transpose of `matrix` in scratch.
template <class Scalar>
MatrixView<Scalar> transposed_copy(MatrixView<const Scalar> matrix, Arena& scratch) {
  const auto copy = scratch.matrix<Scalar>(matrix.columns(), matrix.rows());
  kernels::transpose(matrix, copy);
  return copy;
}

}  // namespace detail

/// affinity[i][s] = x_i · keys_s + 1 for all tokens s of the mini-batch so far: x [n × I], affinity [n × end].
template <class Arch, class Scalar>
void fast_affinity(const FastLinear<Scalar>& map, MiniBatchPart part, MatrixView<const Scalar> x,
                   MatrixView<Scalar> affinity, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const MatrixView<const Scalar> keys = map.keys.rows(0, part.end());
  fill(affinity, Scalar(1));
  kernels::matmul<Arch>(x, detail::transposed_copy(keys, scratch), affinity, kernels::Output::accumulate);
}

/// coefficients[i][s] = −τ_r η_s affinity[i][s] for s ≤ r = first + i, zero above: what each g_s adds to output r.
template <class Scalar>
void fast_coefficients(const InnerRates<Scalar>& rates, MiniBatchPart part, MatrixView<const Scalar> affinity,
                       MatrixView<Scalar> coefficients) {
  for (Index i = 0; i < part.count; ++i) {
    const Index r = part.first + i;
    for (Index s = 0; s <= r; ++s) coefficients(i, s) = -rates.factor[r] * rates.token[s] * affinity(i, s);
    for (Index s = r + 1; s < part.end(); ++s) coefficients(i, s) = Scalar(0);
  }
}

/// z = x W + b: x [n × I], z [n × O], with the weights the mini-batch started with.
template <class Arch, class Scalar>
void fast_apply_start(const FastLinear<Scalar>& map, MatrixView<const Scalar> x, MatrixView<Scalar> z) {
  kernels::matmul<Arch>(x, map.weight, z);
  detail::add_row<Arch>(MatrixView<const Scalar>(map.bias), z);
}

/// z_r = x_r W(r) + b(r) for the tokens of `part`, whose keys and gradients are in `map` already: x [n × I], z [n × O].
template <class Arch, class Scalar>
void fast_apply(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, MiniBatchPart part,
                MatrixView<const Scalar> x, MatrixView<Scalar> z, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto coefficients = scratch.matrix<Scalar>(part.count, part.end());
  fast_affinity<Arch>(map, part, x, coefficients, scratch);
  fast_coefficients<Scalar>(rates, part, coefficients, coefficients);
  fast_apply_start<Arch>(map, x, z);
  kernels::matmul<Arch>(coefficients, map.gradients.rows(0, part.end()), z, kernels::Output::accumulate);
}

/// W ← W(last), b ← b(last) from rows [0, count): the end of a mini-batch.
template <class Arch, class Scalar>
void fast_fold(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, Index count, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Scalar factor = rates.factor[count - 1];
  const auto scaled = scratch.zeros<Scalar>(count, map.gradients.columns());
  for (Index s = 0; s < count; ++s)
    detail::add_scaled<Arch>(-factor * rates.token[s], map.gradients.row(s), scaled.columns(), scaled.row(s));
  kernels::matmul<Arch>(kernels::transposed(map.keys.rows(0, count)), scaled, map.weight, kernels::Output::accumulate);
  detail::add_column_sums<Arch>(MatrixView<const Scalar>(scaled), map.bias);
}

/// Gradients that both directions of a part share; all accumulate.
template <class Scalar>
struct InnerRatesGradient {
  VectorView<Scalar> token;   ///< dη [K]
  VectorView<Scalar> factor;  ///< dτ [K]
};

/// Backward of `fast_apply`: adds to the gradients of W, b, keys, gradients (in `d_map`, rows [0, end)) and rates, and
/// assigns d_x = d_z Wᵀ + …; `weight_transposed` is Wᵀ [O × I]. d_x must not overlap d_z.
template <class Arch, class Scalar>
void fast_apply_backward(const FastLinear<Scalar>& map, MatrixView<const Scalar> weight_transposed,
                         const InnerRates<Scalar>& rates, MiniBatchPart part, MatrixView<const Scalar> x,
                         MatrixView<const Scalar> d_z, MatrixView<Scalar> d_x, const FastLinear<Scalar>& d_map,
                         const InnerRatesGradient<Scalar>& d_rates, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index end = part.end();
  const auto affinity = scratch.matrix<Scalar>(part.count, end), coefficients = scratch.matrix<Scalar>(part.count, end);
  fast_affinity<Arch>(map, part, x, affinity, scratch);
  fast_coefficients<Scalar>(rates, part, affinity, coefficients);

  const MatrixView<const Scalar> gradients = map.gradients.rows(0, end);
  const auto d_affinity = scratch.matrix<Scalar>(part.count, end);
  kernels::matmul<Arch>(d_z, detail::transposed_copy(gradients, scratch), d_affinity);
  for (Index i = 0; i < part.count; ++i) {
    const Index r = part.first + i;
    for (Index s = 0; s <= r; ++s) {
      const Scalar product = -affinity(i, s) * d_affinity(i, s);
      d_rates.token[s] += rates.factor[r] * product;
      d_rates.factor[r] += rates.token[s] * product;
      d_affinity(i, s) *= -rates.factor[r] * rates.token[s];
    }
    for (Index s = r + 1; s < end; ++s) d_affinity(i, s) = Scalar(0);
  }

  using kernels::Output;
  kernels::matmul<Arch>(d_z, weight_transposed, d_x);
  kernels::matmul<Arch>(d_affinity, map.keys.rows(0, end), d_x, Output::accumulate);
  kernels::matmul<Arch>(kernels::transposed(d_affinity), x, d_map.keys.rows(0, end), Output::accumulate);
  kernels::matmul<Arch>(kernels::transposed(coefficients), d_z, d_map.gradients.rows(0, end), Output::accumulate);
  kernels::matmul<Arch>(kernels::transposed(x), d_z, d_map.weight, Output::accumulate);
  detail::add_column_sums<Arch>(d_z, d_map.bias);
}

/// Backward of `fast_apply_start`: d_x += d_z Wᵀ, dW += xᵀ d_z, db += Σ d_z.
template <class Arch, class Scalar>
void fast_apply_start_backward(MatrixView<const Scalar> weight_transposed, MatrixView<const Scalar> x,
                               MatrixView<const Scalar> d_z, MatrixView<Scalar> d_x, const FastLinear<Scalar>& d_map) {
  kernels::matmul<Arch>(d_z, weight_transposed, d_x, kernels::Output::accumulate);
  kernels::matmul<Arch>(kernels::transposed(x), d_z, d_map.weight, kernels::Output::accumulate);
  detail::add_column_sums<Arch>(d_z, d_map.bias);
}

/// Backward of `fast_fold` over all K rows: `d_map.weight` and `d_map.bias` are the gradients of the folded weights and,
/// unchanged, those of the weights before; adds to the gradients of keys, gradients and rates.
template <class Arch, class Scalar>
void fast_fold_backward(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, const FastLinear<Scalar>& d_map,
                        const InnerRatesGradient<Scalar>& d_rates, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index count = map.keys.rows(), inputs = map.keys.columns(), outputs = map.gradients.columns();
  const Scalar factor = rates.factor[count - 1];
  const auto d_gradients = scratch.matrix<Scalar>(count, outputs), d_keys = scratch.matrix<Scalar>(count, inputs);
  kernels::matmul<Arch>(map.keys, d_map.weight, d_gradients);
  detail::add_row<Arch>(MatrixView<const Scalar>(d_map.bias), d_gradients);
  kernels::matmul<Arch>(map.gradients, detail::transposed_copy(MatrixView<const Scalar>(d_map.weight), scratch), d_keys);
  for (Index s = 0; s < count; ++s) {
    const Scalar product = detail::dot<Arch>(d_gradients.row(s), map.gradients.row(s), outputs);
    d_rates.token[s] -= factor * product;
    d_rates.factor[count - 1] -= rates.token[s] * product;
    detail::add_scaled<Arch>(-factor * rates.token[s], d_gradients.row(s), outputs, d_map.gradients.row(s));
    detail::add_scaled<Arch>(-factor * rates.token[s], d_keys.row(s), inputs, d_map.keys.row(s));
  }
}

/// Moves rows of the open mini-batch's gradient to the gradient of the inputs they came from, leaving zeros.
template <class Scalar>
void take_rows(MiniBatchPart part, MatrixView<Scalar> from, MatrixView<Scalar> to) {
  copy(from.rows(part.first, part.count), to);
  fill(from.rows(part.first, part.count), Scalar(0));
}
template <class Scalar>
void take_rates(MiniBatchPart part, VectorView<Scalar> from, VectorView<Scalar> to) {
  std::copy_n(from.data() + part.first, part.count, to.data());
  std::fill_n(from.data() + part.first, part.count, Scalar(0));
}

}  // namespace rules

TTT_NAMESPACE_END
