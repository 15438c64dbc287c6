// SPDX-License-Identifier: MIT
/// @file
/// exp, logistic, tanh, silu and tanh-GELU with their derivatives, on packs. Every lane computes what the scalar pack
/// computes. Errors stated are against the exact value, measured by the tests.
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
  static constexpr float smallest = -87.0F, largest = 88.0F;
  // 1/k! from k = 7 down: the remainder is below 6e-9 for |r| <= ln2 / 2.
  static constexpr std::array<float, 8> taylor{1.F / 5040, 1.F / 720, 1.F / 120, 1.F / 24, 1.F / 6, .5F, 1.F, 1.F};
};
template <>
struct ExpConstants<double> {
  static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double high = 6.93147180369123816490e-01, low = 1.90821492927058770002e-10;
  static constexpr double smallest = -708.0, largest = 709.0;
  // 1/k! from k = 13 down: the remainder is below 5e-18 for |r| <= ln2 / 2.
  static constexpr std::array<double, 14> taylor{1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800,
                                                 1. / 362880,     1. / 40320,     1. / 5040,     1. / 720,
                                                 1. / 120,        1. / 24,        1. / 6,        .5,
                                                 1.,              1.};
};
}  // namespace detail

/// eˣ, relative error below 2 ulp; arguments are clamped to where the result is finite and normal, NaN stays NaN.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> exp(simd::Pack<Scalar, Arch> x) {
  using Constants = detail::ExpConstants<Scalar>;
  using P = simd::Pack<Scalar, Arch>;
  const P clamped = simd::min(P(Constants::largest), simd::max(P(Constants::smallest), x));
  const P shifted = simd::fma(clamped, P(Scalar(1.4426950408889634)), P(Constants::magic));
  const P n = shifted - P(Constants::magic);
  const P r = simd::fma(n, P(-Constants::low), simd::fma(n, P(-Constants::high), clamped));
  P sum(Constants::taylor[0]);
  for (std::size_t k = 1; k < Constants::taylor.size(); ++k) sum = simd::fma(sum, r, P(Constants::taylor[k]));
  return simd::scale_by_power_of_two(sum, shifted);
}

/// Logistic function 1 / (1 + e⁻ˣ).
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> sigmoid(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  return P(Scalar(1)) / (P(Scalar(1)) + exp(P(Scalar(0)) - x));
}

/// tanh(x) = 1 − 2 / (e²ˣ + 1); absolute error of a few ulp of 1.
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> tanh(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  return P(Scalar(1)) - P(Scalar(2)) / (exp(x + x) + P(Scalar(1)));
}

/// silu(x) = x · sigmoid(x).
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> silu(simd::Pack<Scalar, Arch> x) {
  return x * sigmoid(x);
}

/// d silu / dx = s (1 + x (1 − s)), s = sigmoid(x).
template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> silu_derivative(simd::Pack<Scalar, Arch> x) {
  using P = simd::Pack<Scalar, Arch>;
  const P s = sigmoid(x);
  return s * simd::fma(x, P(Scalar(1)) - s, P(Scalar(1)));
}

/// Value and the first two derivatives of the tanh-GELU ½x(1 + tanh u), u = √(2/π)(x + 0.044715x³).
template <class Scalar, class Arch>
struct Gelu {
  using P = simd::Pack<Scalar, Arch>;
  static constexpr Scalar root = Scalar(0.79788456080286535588);  // sqrt(2 / pi)
  static constexpr Scalar cubic = Scalar(0.044715);

  TTT_INLINE explicit Gelu(P argument)
      : x(argument),
        tanh_u(kernels::tanh(x * simd::fma(x * x, P(root * cubic), P(root)))),
        one_minus_square(P(Scalar(1)) - tanh_u * tanh_u),
        du(simd::fma(x * x, P(3 * root * cubic), P(root))) {}

  TTT_INLINE P value() const { return P(Scalar(0.5)) * x * (P(Scalar(1)) + tanh_u); }
  TTT_INLINE P derivative() const {
    return P(Scalar(0.5)) * simd::fma(x * one_minus_square, du, P(Scalar(1)) + tanh_u);
  }
  /// (1 − t²)(u′ + ½x u″ − x t u′²), t = tanh u.
  TTT_INLINE P second_derivative() const {
    const P half_x_ddu = x * x * P(3 * root * cubic);
    return one_minus_square * (du + half_x_ddu - x * tanh_u * du * du);
  }

  P x, tanh_u, one_minus_square, du;
};

template <class Scalar, class Arch>
TTT_INLINE simd::Pack<Scalar, Arch> gelu(simd::Pack<Scalar, Arch> x) {
  return Gelu<Scalar, Arch>(x).value();
}

}  // namespace kernels

TTT_NAMESPACE_END
