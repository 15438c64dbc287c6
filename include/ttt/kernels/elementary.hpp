// SPDX-License-Identifier: MIT
/// @file
/// exp, logistic, tanh, softplus, silu and tanh-GELU with their derivatives, on packs. Every lane computes what the
/// scalar pack computes. Errors stated are against the exact value, measured by the tests, for arguments that `exp`
/// does not clamp: up to 87 in float, 708 in double, of either sign. ε is the distance from 1 to the next number.
///
/// Weights and gates, which reach 1, are exactly 0 below e⁻⁴³·⁵, about 2⁻⁶³ (e⁻³⁵⁴ in double): that is 2⁻⁴⁰ ε, too
/// little to change a digit of a sum of less than 2³⁹ of them, and the product of any two that are left is a normal
/// number. Denormal numbers, which take long, do not come from saturation.
#pragma once

#include <array>
#include <limits>

#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {
template <class Scalar>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float magic = 12582912.0F;  // 1.5 * 2^23
  static constexpr float high = 0.693359375F, low = -2.12194440e-4F;
  static constexpr float smallest = -87.0F, largest = 88.0F, negligible = smallest / 2;
  // From the highest power down: 1 + r + r² q(r) with the smallest relative error for |r| <= ln2 / 2, below 4e-9.
  static constexpr std::array<float, 7> powers{
      1.38145988e-3F, 8.36871658e-3F, 4.16683890e-2F, 1.66665211e-1F, 4.99999940e-1F, 1.F, 1.F};
};
template <>
struct ExpConstants<double> {
  static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double high = 6.93147180369123816490e-01, low = 1.90821492927058770002e-10;
  static constexpr double smallest = -708.0, largest = 709.0, negligible = smallest / 2;
  // 1/k! from k = 13 down: the remainder is below 5e-18 for |r| <= ln2 / 2.
  static constexpr std::array<double, 14> powers{
      1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040,
      1. / 720,        1. / 120,       1. / 24,       1. / 6,       .5,          1.,         1.};
};
}  // namespace detail

namespace detail {
/// y = eˣ for arguments within the limits of ExpConstants, or NaN. Several packs go step by step together: each hides
/// the latency of the others.
template <class Scalar, class Arch, std::size_t count>
TTT_INLINE void exp_in_range(const simd::Pack<Scalar, Arch> (&x)[count], simd::Pack<Scalar, Arch> (&y)[count]) {
  using Constants = ExpConstants<Scalar>;
  using P = simd::Pack<Scalar, Arch>;
  P shifted[count], r[count];
  TTT_UNROLL for (std::size_t i = 0; i < count; ++i) shifted[i] =
      simd::fma(x[i], P(Scalar(1.4426950408889634)), P(Constants::magic));
  TTT_UNROLL for (std::size_t i = 0; i < count; ++i) {
    const P n = shifted[i] - P(Constants::magic);
    r[i] = simd::fma(n, P(-Constants::low), simd::fma(n, P(-Constants::high), x[i]));
    y[i] = P(Constants::powers[0]);
  }
  for (std::size_t k = 1; k < Constants::powers.size(); ++k)
    TTT_UNROLL for (std::size_t i = 0; i < count; ++i) y[i] = simd::fma(y[i], r[i], P(Constants::powers[k]));
  TTT_UNROLL for (std::size_t i = 0; i < count; ++i) y[i] = simd::scale_by_power_of_two(y[i], shifted[i]);
}
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> exp_in_range(simd::Pack<Scalar, Arch> x) {
  const simd::Pack<Scalar, Arch> from[] = {x};
  simd::Pack<Scalar, Arch> to[1];
  exp_in_range(from, to);
  return to[0];
}
/// x where it is within the limits, else the nearest of them; NaN stays NaN.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> clamp(Scalar smallest, Scalar largest, simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  return simd::min(P(largest), simd::max(P(smallest), x));
}
}  // namespace detail

/// eˣ, relative error below 2 ulp; arguments are clamped to where the result is finite and normal, NaN stays NaN.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> exp(simd::Pack<Scalar, Arch> x) {
  using Constants = detail::ExpConstants<Scalar>;
  return detail::exp_in_range(detail::clamp(Constants::smallest, Constants::largest, x));
}

/// eˣ for x up to the largest argument of `exp`, and exactly 0 below −43.5 (−354 in double): a weight relative to a
/// maximum, whose own is 1.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> weight_exp(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  // What is out of range is not clamped first, as it is thrown away.
  return simd::zero_where(x < P(detail::ExpConstants<Scalar>::negligible), detail::exp_in_range(x));
}
/// The same of several packs at once, which takes less time than one after another.
template <class Scalar, class Arch, std::size_t count>
TTT_INLINE void weight_exp(const simd::Pack<Scalar, Arch> (&x)[count], simd::Pack<Scalar, Arch> (&y)[count]) {
  using P = simd::Pack<Scalar, Arch>;
  detail::exp_in_range(x, y);
  TTT_UNROLL for (std::size_t i = 0; i < count; ++i) y[i] =
      simd::zero_where(x[i] < P(detail::ExpConstants<Scalar>::negligible), y[i]);
}

/// Logistic function 1 / (1 + e⁻ˣ), relative error below 1.5 ε; exactly 0 below −43.5 (−354 in double).
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> sigmoid(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  const P sigma = P(Scalar(1)) / (P(Scalar(1)) + exp(P(Scalar(0)) - x));
  return simd::zero_where(x < P(detail::ExpConstants<Scalar>::negligible), sigma);
}

/// tanh(x) = 1 − 2 / (e²ˣ + 1), absolute error below 2 ε.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> tanh(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  return P(Scalar(1)) - P(Scalar(2)) / (exp(x + x) + P(Scalar(1)));
}

/// silu(x) = x · s, s = sigmoid(x), and its first two derivatives.
template <class Scalar, class Arch>
struct Silu {
  using P = simd::Pack<Scalar, Arch>;

  TTT_INLINE explicit Silu(P argument) : x(argument), s(sigmoid(argument)) {}

  /// Relative error below 2 ε where sigmoid is not 0.
  TTT_INLINE P value() const { return x * s; }
  /// s (1 + x (1 − s)), absolute error below 1.5 ε max(1, |x|).
  TTT_INLINE P derivative() const { return s * simd::fma(x, P(Scalar(1)) - s, P(Scalar(1))); }
  /// s (1 − s) (2 + x (1 − 2s)), absolute error below 1.5 ε max(1, |x|).
  TTT_INLINE P second_derivative() const {
    return s * (P(Scalar(1)) - s) * simd::fma(x, P(Scalar(1)) - (s + s), P(Scalar(2)));
  }

 private:
  P x, s;
};

/// silu(x), relative error below 2 ε where sigmoid is not 0.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> silu(simd::Pack<Scalar, Arch> x) {
  return Silu<Scalar, Arch>(x).value();
}

namespace detail {
/// log(1 + u) for 0 ≤ u ≤ 1: 2 artanh(s) = 2 (s + s³/3 + s⁵/5 + …), s = u / (2 + u) ≤ 1/3. What is left out is below
/// 3⁻¹⁷/17 in float, 3⁻³⁵/35 in double.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> log_of_one_plus(simd::Pack<Scalar, Arch> u) {
  using P = simd::Pack<Scalar, Arch>;
  constexpr int last = sizeof(Scalar) == 4 ? 15 : 33;
  const P s = u / (P(Scalar(2)) + u), square = s * s;
  P sum(Scalar(1) / last);
  for (int k = last - 2; k > 1; k -= 2) sum = simd::fma(sum, square, P(Scalar(1) / static_cast<Scalar>(k)));
  const P twice = s + s;
  return simd::fma(twice * square, sum, twice);
}
}  // namespace detail

/// softplus(x) = log(1 + eˣ) = max(0, x) + log(1 + e⁻ˡˣˡ), relative error below 2 ε; exactly 0 below −43.5 (−354 in
/// double). Its derivative is sigmoid(x).
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> softplus(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  const P positive = simd::max(P(Scalar(0)), x), magnitude = simd::max(P(Scalar(0)) - x, x);
  return positive + detail::log_of_one_plus(weight_exp(P(Scalar(0)) - magnitude));
}

/// Value and the first two derivatives of the tanh-GELU ½x(1 + tanh u) = x σ(v), v = 2u = √(8/π)(x + 0.044715x³): one
/// exponential and one division for all of them.
template <class Scalar, class Arch>
struct Gelu {
  using P = simd::Pack<Scalar, Arch>;
  static constexpr Scalar root = Scalar(1.5957691216057307117);  // sqrt(8 / pi)
  static constexpr Scalar cubic = root * Scalar(0.044715);

  TTT_INLINE explicit Gelu(P argument) : x(argument), square(x * x) {
    // Beyond the limits one of e⁻ᵛ and σ is 0, and so is σ (1 − σ); e⁻ᵛ stays finite.
    constexpr Scalar limit = -detail::ExpConstants<Scalar>::negligible;
    const P negative_v = x * simd::fma(square, P(-cubic), P(-root));
    exponential = weight_exp(simd::min(P(limit + 1), negative_v));
    sigma = simd::zero_where(P(limit) < negative_v, P(Scalar(1)) / (P(Scalar(1)) + exponential));
  }

  /// x σ, absolute error below 1.5 ε |x|.
  TTT_INLINE P value() const { return x * sigma; }
  /// σ + x σ′, σ′ = σ (1 − σ) v′; absolute error below 2 ε.
  TTT_INLINE P derivative() const { return simd::fma(x * slope(), dv(), sigma); }
  /// 2σ′ + x σ″ = σ (1 − σ) (2v′ + x v″ + x (1 − 2σ) v′²); absolute error below 3 ε.
  TTT_INLINE P second_derivative() const {
    const P x_ddv = square * P(6 * cubic), tilt = x * (P(Scalar(1)) - (sigma + sigma));
    return slope() * simd::fma(tilt * dv(), dv(), simd::fma(P(Scalar(2)), dv(), x_ddv));
  }

 private:
  /// σ (1 − σ), and 1 − σ = σ e⁻ᵛ.
  TTT_INLINE P slope() const { return exponential * sigma * sigma; }
  TTT_INLINE P dv() const { return simd::fma(square, P(3 * cubic), P(root)); }

  P x, square, exponential, sigma;
};

/// tanh-GELU, absolute error below 1.5 ε |x|.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> gelu(simd::Pack<Scalar, Arch> x) {
  return Gelu<Scalar, Arch>(x).value();
}

}  // namespace kernels

TTT_NAMESPACE_END
