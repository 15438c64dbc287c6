// SPDX-License-Identifier: MIT
/// @file
/// What the delta rule makes of keys, values and rates (Yang et al. 2024, "Parallelizing linear transformers with the
/// delta rule", equation 2), for rows of H heads, G = H / H_k of which share a key:
///
///     β = most · σ(b)       e_h = β_h k_{h / G}       w_h = β_h v_h
///
/// With `most` 2 the transition I − β k kᵀ has negative eigenvalues (Grazzi et al. 2025).
#pragma once

#include <algorithm>
#include <type_traits>

#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// The rows of one call: b, β [N × H], k [N × H_k · K], e [N × H · K], v, w [N × H · V].
template <class Scalar>
struct WriteRates {
  MatrixView<const Scalar> logits, keys, values;
  MatrixView<Scalar> rates, erase, written;
  Index key_heads = 1;
  Scalar most = 1;

  Index heads() const { return logits.columns(); }
  Index key_width() const { return keys.columns() / key_heads; }
  Index value_width() const { return values.columns() / heads(); }
  /// The first column of the key of a head.
  Index key_column(Index head) const { return head / (heads() / key_heads) * key_width(); }
};

/// The gradients of what a forward gave: of queries (which the heads of a key share, too) and writes [N × H · K].
template <class Scalar>
struct WriteRatesGradient {
  MatrixView<const Scalar> queries, write, erase, written;
};

namespace detail {

/// y = factor · x.
template <class Arch, class Scalar>
void scale(Scalar factor, const Scalar* x, Index count, Scalar* y) {
  simd::for_each_pack<Scalar, Arch>(
      count, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA { (P(factor) * P::load(x + c)).store(y + c); });
}

}  // namespace detail

/// Assigns β, e and w.
template <class Arch = simd::Native, class Scalar>
void write_rates(const WriteRates<Scalar>& of) {
  const Index keys = of.key_width(), values = of.value_width();
  for (Index r = 0; r < of.logits.rows(); ++r) {
    simd::for_each_pack<Scalar, Arch>(of.heads(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P(of.most) * sigmoid(P::load(of.logits.row(r) + c))).store(of.rates.row(r) + c);
    });
    for (Index h = 0; h < of.heads(); ++h) {
      detail::scale<Arch>(of.rates(r, h), of.keys.row(r) + of.key_column(h), keys, of.erase.row(r) + h * keys);
      detail::scale<Arch>(of.rates(r, h), of.values.row(r) + h * values, values, of.written.row(r) + h * values);
    }
  }
}

/// Backward of `write_rates`: assigns d_b [N × H], d_v [N × H · V] and, summed over the heads that share them, d_q and
/// d_k [N × H_k · K].
template <class Arch = simd::Native, class Scalar>
void write_rates_backward(const WriteRates<Scalar>& of, const WriteRatesGradient<Scalar>& d,
                          MatrixView<Scalar> d_logits, MatrixView<Scalar> d_values, MatrixView<Scalar> d_queries,
                          MatrixView<Scalar> d_keys) {
  const Index keys = of.key_width(), values = of.value_width();
  for (Index r = 0; r < of.logits.rows(); ++r) {
    std::fill_n(d_queries.row(r), d_queries.columns(), Scalar(0));
    std::fill_n(d_keys.row(r), d_keys.columns(), Scalar(0));
    for (Index h = 0; h < of.heads(); ++h) {
      const Index at = h * keys, to = of.key_column(h);
      const Scalar rate = of.rates(r, h);
      const Scalar d_rate = dot<Arch>(d.erase.row(r) + at, of.keys.row(r) + to, keys) +
                            dot<Arch>(d.written.row(r) + h * values, of.values.row(r) + h * values, values);
      d_logits(r, h) = d_rate * rate * (Scalar(1) - rate / of.most);
      detail::scale<Arch>(rate, d.written.row(r) + h * values, values, d_values.row(r) + h * values);
      add_scaled<Arch>(Scalar(1), d.queries.row(r) + at, keys, d_queries.row(r) + to);
      add_scaled<Arch>(Scalar(1), d.write.row(r) + at, keys, d_keys.row(r) + to);
      add_scaled<Arch>(rate, d.erase.row(r) + at, keys, d_keys.row(r) + to);
    }
  }
}

}  // namespace kernels

TTT_NAMESPACE_END
