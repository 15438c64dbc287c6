// SPDX-License-Identifier: MIT
/// @file
/// A linear map whose weights learn while it reads: the building block of TTT-Linear (one of them) and TTT-MLP (two).
///
/// Inside a mini-batch all gradients are taken at its first weights W, so that after token r the weights are
///   W(r) = W − τ_r Σ_{s ≤ r} η_s keys_sᵀ g_s,   b(r) = b − τ_r Σ_{s ≤ r} η_s g_s,
/// and applying them needs none of the W(r) (TTT paper, section 2.5, the dual form):
///   x_r W(r) + b(r) = x_r W + b − Σ_{s ≤ r} τ_r η_s (x_r · keys_s + 1) g_s.
#pragma once

#include "ttt/kernels/block_product.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/sequence_rule/part_list.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// Learning rates of a mini-batch: η_s of each token read so far (kept in the state) and τ_r of each position.
template <class Scalar>
struct InnerRates {
  VectorView<const Scalar> token;   ///< η [K], per key
  VectorView<const Scalar> factor;  ///< τ [K], per query
  bool inclusive = true;            ///< whether x_r is applied to W(r), or to the W of the start like all others
};

/// The fast weights of one map and the rows its open mini-batch has left so far.
template <class Scalar>
struct FastLinear {
  MatrixView<Scalar> weight;     ///< W [I × O] at the start of the mini-batch
  MatrixView<Scalar> bias;       ///< b [1 × O]
  MatrixView<Scalar> keys;       ///< inputs [K × I] of the tokens read
  MatrixView<Scalar> gradients;  ///< ∂loss/∂output [K × O] of the tokens read
};

/// affinity[i][s] = x_i · keys_s for all tokens s of the mini-batch so far: x [n × I], affinity [n × end].
template <class Arch, class Scalar>
void fast_affinity(const FastLinear<Scalar>& map, MiniBatchPart part, MatrixView<const Scalar> x,
                   MatrixView<Scalar> affinity, Arena& scratch) {
  kernels::block_product_transposed<Arch, Scalar>(x, map.keys.rows(0, part.end()), affinity, scratch);
}

/// coefficients[i][s] = −τ_r η_s (affinity[i][s] + 1) for s ≤ r = first + i: what g_s adds to output r. Later s hold
/// numbers without a meaning.
template <class Arch, class Scalar>
void fast_coefficients(const InnerRates<Scalar>& rates, MiniBatchPart part, MatrixView<const Scalar> affinity,
                       MatrixView<Scalar> coefficients) {
  for (Index i = 0; i < part.count; ++i) {
    const Index r = part.first + i;
    Scalar* row = coefficients.row(i);
    simd::for_each_pack<Scalar, Arch>(part.end(), [&]<class P>(P, Index s) TTT_INLINE_LAMBDA {
      const P rate = P(-rates.factor[r]) * P::load(rates.token.data() + s);
      simd::fma(rate, P::load(affinity.row(i) + s), rate).store(row + s);
    });
  }
}

/// z = x W + b: x [n × I], z [n × O], with the weights the mini-batch started with.
template <class Arch, class Scalar>
void fast_apply_start(const FastLinear<Scalar>& map, MatrixView<const Scalar> x, MatrixView<Scalar> z) {
  kernels::block_product_from_row<Arch, Scalar>(map.bias.data(), x, map.weight, z);
}

/// What the tokens of a part take over from one another when a map is applied to them; its backward uses it again.
/// Without a mixing they take over nothing.
template <class Scalar>
struct FastMixing {
  MatrixView<Scalar> affinity, coefficients;  ///< [n × end]

  bool empty() const { return coefficients.empty(); }
};

/// The mixing of x [n × I], in scratch; keys are in `map` already.
template <class Arch, class Scalar>
FastMixing<Scalar> fast_mixing(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, MiniBatchPart part,
                               MatrixView<const Scalar> x, Arena& scratch) {
  if (!rates.inclusive) return {};
  const FastMixing<Scalar> mixing{scratch.matrix<Scalar>(part.count, part.end()),
                                  scratch.matrix<Scalar>(part.count, part.end())};
  fast_affinity<Arch>(map, part, x, mixing.affinity, scratch);
  fast_coefficients<Arch, Scalar>(rates, part, mixing.affinity, mixing.coefficients);
  return mixing;
}

/// z_r = x_r W(r) + b(r) for the tokens of `part`, whose keys and gradients are in `map` already, or x_r W + b without
/// a mixing: x [n × I], z [n × O].
template <class Arch, class Scalar>
void fast_apply(const FastLinear<Scalar>& map, const FastMixing<Scalar>& mixing, MiniBatchPart part,
                MatrixView<const Scalar> x, MatrixView<Scalar> z) {
  fast_apply_start<Arch>(map, x, z);
  if (mixing.empty()) return;
  kernels::block_product_causal<Arch, Scalar>(mixing.coefficients, part.first, map.gradients.rows(0, part.end()), z);
}
template <class Arch, class Scalar>
void fast_apply(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, MiniBatchPart part,
                MatrixView<const Scalar> x, MatrixView<Scalar> z, Arena& scratch) {
  const Arena::Frame frame(scratch);
  fast_apply<Arch, Scalar>(map, fast_mixing<Arch>(map, rates, part, x, scratch), part, x, z);
}

/// W′ = W(last), b′ = b(last) from rows [0, count), the end of a mini-batch, into `folded`, which may be `map`.
template <class Arch, class Scalar>
void fast_fold(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, Index count,
               const FastLinear<Scalar>& folded, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Scalar factor = rates.factor[count - 1];
  const auto scaled = scratch.matrix<Scalar>(count, map.gradients.columns());
  kernels::copy_rows<Arch, Scalar>(map.bias, folded.bias);
  for (Index s = 0; s < count; ++s)
    simd::for_each_pack<Scalar, Arch>(scaled.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      const P step = P(-factor * rates.token[s]) * P::load(map.gradients.row(s) + c);
      step.store(scaled.row(s) + c);
      (P::load(folded.bias.data() + c) + step).store(folded.bias.data() + c);
    });
  kernels::block_product_from<Arch, Scalar>(map.weight, kernels::transposed(map.keys.rows(0, count)), scaled,
                                            folded.weight);
}

/// Gradients that both directions of a part share; all accumulate.
template <class Scalar>
struct InnerRatesGradient {
  VectorView<Scalar> token;   ///< dη [K]
  VectorView<Scalar> factor;  ///< dτ [K]
};

/// d[i][s], the gradient of the coefficients, becomes that of the affinities, −τ_r η_s d[i][s], and zero above the
/// diagonal; adds −Σ (affinity + 1) d τ_r to dη_s and −Σ (affinity + 1) d η_s to dτ_r.
template <class Arch, class Scalar>
void fast_coefficients_backward(const InnerRates<Scalar>& rates, MiniBatchPart part, MatrixView<const Scalar> affinity,
                                MatrixView<Scalar> d, const InnerRatesGradient<Scalar>& d_rates) {
  for (Index i = 0; i < part.count; ++i) {
    const Index r = part.first + i;
    const Scalar factor = rates.factor[r];
    std::fill(d.row(i) + r + 1, d.row(i) + part.end(), Scalar(0));
    d_rates.factor[r] -= simd::sum_packs<Scalar, Arch>(part.end(), [&]<class P>(P, Index s) TTT_INLINE_LAMBDA {
      const P rate = P::load(rates.token.data() + s), gradient = P::load(d.row(i) + s);
      const P product = simd::fma(P::load(affinity.row(i) + s), gradient, gradient);
      simd::fma(P(-factor), product, P::load(d_rates.token.data() + s)).store(d_rates.token.data() + s);
      (P(-factor) * rate * gradient).store(d.row(i) + s);
      return rate * product;
    });
  }
}

/// Rows whose outer products a part adds to the gradient of W: left [n × I], right [n × O], in scratch.
template <class Scalar>
struct FastOuter {
  MatrixView<Scalar> left, right;

  FastOuter(Index rows, Index inputs, Index outputs, Arena& scratch)
      : left(scratch.matrix<Scalar>(rows, inputs)), right(scratch.matrix<Scalar>(rows, outputs)) {}
};

/// dW += leftᵀ right, in one pass over dW; db += Σ of the first `biased` rows of right.
template <class Arch, class Scalar>
void fast_weight_backward(const FastOuter<Scalar>& outer, Index biased, const FastLinear<Scalar>& d_map) {
  kernels::block_product<Arch>(kernels::transposed(outer.left), outer.right, d_map.weight, kernels::Output::accumulate);
  kernels::add_column_sums<Arch, Scalar>(outer.right.rows(0, biased), d_map.bias);
}

/// Backward of `fast_apply` but for W and b, which x and d_z reach by `fast_weight_backward`: adds to the gradients of
/// keys, gradients (in `d_map`, rows [0, end)) and rates, and assigns d_x = d_z Wᵀ + …; d_x must not overlap d_z.
template <class Arch, class Scalar>
void fast_apply_backward(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, MiniBatchPart part,
                         const FastMixing<Scalar>& mixing, MatrixView<const Scalar> x, MatrixView<const Scalar> d_z,
                         MatrixView<Scalar> d_x, const FastLinear<Scalar>& d_map,
                         const InnerRatesGradient<Scalar>& d_rates, Arena& scratch) {
  kernels::block_product_transposed<Arch, Scalar>(d_z, map.weight, d_x, scratch);
  if (mixing.empty()) return;
  const Arena::Frame frame(scratch);
  const Index end = part.end();
  const auto d_affinity = scratch.matrix<Scalar>(part.count, end);
  kernels::block_product_transposed<Arch, Scalar>(d_z, map.gradients.rows(0, end), d_affinity, scratch);
  fast_coefficients_backward<Arch, Scalar>(rates, part, mixing.affinity, d_affinity, d_rates);

  kernels::block_product_causal<Arch, Scalar>(d_affinity, part.first, map.keys.rows(0, end), d_x);
  kernels::block_product_causal_transposed<Arch, Scalar>(d_affinity, part.first, x, d_map.keys.rows(0, end));
  kernels::block_product_causal_transposed<Arch, Scalar>(mixing.coefficients, part.first, d_z,
                                                         d_map.gradients.rows(0, end));
}

/// Backward of `fast_apply_start` but for W and b: d_x += d_z Wᵀ.
template <class Arch, class Scalar>
void fast_apply_start_backward(const FastLinear<Scalar>& map, MatrixView<const Scalar> d_z, MatrixView<Scalar> d_x,
                               Arena& scratch) {
  const Arena::Frame frame(scratch);
  const auto product = scratch.matrix<Scalar>(d_x.rows(), d_x.columns());
  kernels::block_product_transposed<Arch, Scalar>(d_z, map.weight, product, scratch);
  kernels::add_rows<Arch, Scalar>(product, d_x);
}

/// Backward of `fast_fold` over all K rows: `d_map.weight` and `d_map.bias` are the gradients of the folded weights
/// and, unchanged, those of the weights before; adds to the gradients of keys, gradients and rates.
template <class Arch, class Scalar>
void fast_fold_backward(const FastLinear<Scalar>& map, const InnerRates<Scalar>& rates, const FastLinear<Scalar>& d_map,
                        const InnerRatesGradient<Scalar>& d_rates, Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Index count = map.keys.rows(), inputs = map.keys.columns(), outputs = map.gradients.columns();
  const Scalar factor = rates.factor[count - 1];
  const auto d_gradients = scratch.matrix<Scalar>(count, outputs), d_keys = scratch.matrix<Scalar>(count, inputs);
  kernels::block_product_from_row<Arch, Scalar>(d_map.bias.data(), map.keys, d_map.weight, d_gradients);
  kernels::block_product_transposed<Arch, Scalar>(map.gradients, d_map.weight, d_keys, scratch);
  for (Index s = 0; s < count; ++s) {
    const Scalar product = kernels::dot<Arch>(d_gradients.row(s), map.gradients.row(s), outputs);
    d_rates.token[s] -= factor * product;
    d_rates.factor[count - 1] -= rates.token[s] * product;
    kernels::add_scaled<Arch>(-factor * rates.token[s], d_gradients.row(s), outputs, d_map.gradients.row(s));
    kernels::add_scaled<Arch>(-factor * rates.token[s], d_keys.row(s), inputs, d_map.keys.row(s));
  }
}

/// Moves rows of the open mini-batch's gradient to the gradient of the inputs they came from, leaving zeros.
template <class Arch, class Scalar>
void take_rows(MiniBatchPart part, MatrixView<Scalar> from, MatrixView<Scalar> to) {
  kernels::copy_rows<Arch, Scalar>(from.rows(part.first, part.count), to);
  fill(from.rows(part.first, part.count), Scalar(0));
}
template <class Scalar>
void take_rates(MiniBatchPart part, VectorView<Scalar> from, VectorView<Scalar> to) {
  std::copy_n(from.data() + part.first, part.count, to.data());
  std::fill_n(from.data() + part.first, part.count, Scalar(0));
}

}  // namespace rules

TTT_NAMESPACE_END
