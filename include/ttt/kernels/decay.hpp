// SPDX-License-Identifier: MIT
/// @file
/// Step widths and decays of gated recurrences (Gu and Dao 2023, "Mamba", section 3.5; Dao and Gu 2024, "Transformers
/// are SSMs"; Yang et al. 2024, "Gated delta networks"):
///
///     Δ = clamp(softplus(a + bias), limits)       g = −exp(A) ∘ Δ ≤ 0, the logarithm of what is kept
///
/// a, Δ and g are [N × C], the bias [C], and A [H], one for every C / H columns, or empty where only Δ is wanted.
#pragma once

#include <limits>
#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/matmul/pack.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// What step widths are held between; their gradient is 0 beyond.
template <class Scalar>
struct StepLimits {
  Scalar smallest = 0, largest = std::numeric_limits<Scalar>::infinity();
};

namespace detail {

/// Δ of a pack and its derivative, σ(a + bias) or 0.
template <class P, class Scalar>
struct StepWidth {
  P value, slope;

  TTT_INLINE StepWidth(P argument, const StepLimits<Scalar>& limits) {
    const P smallest(limits.smallest), largest(limits.largest), free = softplus(argument);
    value = clamp(limits.smallest, limits.largest, free);
    slope = simd::zero_where(free < smallest, simd::zero_where(largest < free, sigmoid(argument)));
  }
};

/// Calls `body(pack, column, log_rate)` over the columns of a row, with a pack of A, or of 0 if there is none; a sum of
/// what it returns over the columns of each A is added to `sums` [H] unless it is null.
template <class Arch, class Scalar, class Body>
TTT_INLINE void over_rates(VectorView<const Scalar> log_rate, Index columns, Scalar* sums, Body&& body) {
  const Index heads = log_rate.size();
  if (heads == columns || heads == 0)
    return simd::for_each_pack<Scalar, Arch>(columns, [&]<class P>(P pack, Index c) TTT_INLINE_LAMBDA {
      const P value = body(pack, c, heads == 0 ? P(Scalar(0)) : P::load(log_rate.data() + c));
      if (sums != nullptr) (P::load(sums + c) + value).store(sums + c);
    });
  const Index group = columns / heads;
  for (Index h = 0; h < heads; ++h) {
    const Scalar sum = simd::sum_packs<Scalar, Arch>(
        group, [&]<class P>(P pack, Index c) TTT_INLINE_LAMBDA { return body(pack, h * group + c, P(log_rate[h])); });
    if (sums != nullptr) sums[h] += sum;
  }
}

}  // namespace detail

/// Assigns Δ to `steps` and g to `decay`; an empty one is not wanted, and either may be a.
template <class Arch = simd::Native, class Scalar>
void decay_rows(MatrixView<const std::type_identity_t<Scalar>> a, VectorView<const std::type_identity_t<Scalar>> bias,
                VectorView<const std::type_identity_t<Scalar>> log_rate,
                const StepLimits<std::type_identity_t<Scalar>>& limits, MatrixView<std::type_identity_t<Scalar>> steps,
                MatrixView<Scalar> decay) {
  for (Index r = 0; r < a.rows(); ++r)
    detail::over_rates<Arch, Scalar>(log_rate, a.columns(), nullptr, [&]<class P>(P, Index c, P log) TTT_INLINE_LAMBDA {
      const P argument = P::load(a.row(r) + c) + P::load(bias.data() + c);
      const P step = detail::StepWidth<P, Scalar>(argument, limits).value;
      if (!steps.empty()) step.store(steps.row(r) + c);
      if (!decay.empty()) (P(Scalar(0)) - exp(log) * step).store(decay.row(r) + c);
      return step;
    });
}

/// Backward of `decay_rows` for the gradients of Δ and g, of which an empty one is zero: with d = d_steps − exp(A) ∘
/// d_decay, d_a = d ∘ σ(a + bias) (0 beyond the limits), d_bias += d_a, d_log_rate += d_decay ∘ g, over the rows in
/// order. d_a is assigned and may be any input; empty d_bias and d_log_rate are not wanted.
template <class Arch = simd::Native, class Scalar>
void decay_rows_backward(MatrixView<const std::type_identity_t<Scalar>> a,
                         VectorView<const std::type_identity_t<Scalar>> bias,
                         VectorView<const std::type_identity_t<Scalar>> log_rate,
                         const StepLimits<std::type_identity_t<Scalar>>& limits,
                         MatrixView<const std::type_identity_t<Scalar>> d_steps,
                         MatrixView<const std::type_identity_t<Scalar>> d_decay, MatrixView<Scalar> d_a,
                         VectorView<std::type_identity_t<Scalar>> d_bias,
                         VectorView<std::type_identity_t<Scalar>> d_log_rate) {
  for (Index r = 0; r < a.rows(); ++r)
    detail::over_rates<Arch, Scalar>(
        log_rate, a.columns(), d_log_rate.data(), [&]<class P>(P, Index c, P log) TTT_INLINE_LAMBDA {
          const detail::StepWidth<P, Scalar> step(P::load(a.row(r) + c) + P::load(bias.data() + c), limits);
          const P zero(Scalar(0)), d_g = d_decay.empty() ? zero : P::load(d_decay.row(r) + c);
          const P rate_d = exp(log) * d_g, d_step = d_steps.empty() ? zero : P::load(d_steps.row(r) + c);
          const P d = (d_step - rate_d) * step.slope;
          d.store(d_a.row(r) + c);
          if (!d_bias.empty()) (P::load(d_bias.data() + c) + d).store(d_bias.data() + c);
          return zero - rate_d * step.value;
        });
}

/// A = −exp(A_log) of N states in each of C channels, as a selective scan reads it: A_log [C × N], A [N × C], assigned,
/// overlaps nothing.
template <class Arch = simd::Native, class Scalar>
void scan_rates(MatrixView<const std::type_identity_t<Scalar>> log_rate, MatrixView<Scalar> rates) {
  transpose(log_rate, rates);
  for (Index n = 0; n < rates.rows(); ++n)
    simd::for_each_pack<Scalar, Arch>(rates.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      (P(Scalar(0)) - exp(P::load(rates.row(n) + c))).store(rates.row(n) + c);
    });
}

}  // namespace kernels

TTT_NAMESPACE_END
