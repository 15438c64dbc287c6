// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four random words from a counter
/// and a key, no state.
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t second = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(second),
               static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(first)};
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
  }
  return counter;
}

namespace detail {

/// log(x) for normal x > 0 by atanh series; explicit fma, so that no compiler's contraction changes a bit.
inline double portable_log(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
  double mantissa = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    ++exponent;
  }
  const double t = (mantissa - 1) / (mantissa + 1), square = t * t;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = std::fma(sum, square, 1.0 / k);
  return std::fma(static_cast<double>(exponent), 0.6931471805599453, 2 * t * sum);
}

template <std::size_t Size>
double horner(const std::array<double, Size>& coefficients, double x) {
  double sum = 0;
  for (const double coefficient : coefficients) sum = std::fma(sum, x, coefficient);
  return sum;
}

/// Inverse of the normal distribution function (Wichura 1988, AS 241, PPND16), relative error about 1e-16.
inline double inverse_normal(double p) {
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = std::fma(-q, q, 0.180625);
    return q *
           horner<8>({2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
                      13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608},
                     r) /
           horner<8>({5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
                      5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0},
                     r);
  }
  const double tail = q < 0 ? p : 1 - p;
  const double r = std::sqrt(-portable_log(tail));
  const double magnitude =
      r <= 5
          ? horner<8>({7.7454501427834140764e-4, .0227238449892691845833, .24178072517745061177, 1.27045825245236838258,
                       3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734},
                      r - 1.6) /
                horner<8>(
                    {1.05075007164441684324e-9, 5.475938084995344946e-4, .0151986665636164571966, .14810397642748007459,
                     .68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0},
                    r - 1.6)
          : horner<8>(
                {2.01033439929228813265e-7, 2.71155556874348757815e-5, .0012426609473880784386, .026532189526576123093,
                 .29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772},
                r - 5) /
                horner<8>({2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
                           7.868691311456132591e-4, .0148753612908506148525, .13692988092273580531,
                           .59983220655588793769, 1.0},
                          r - 5);
  return q < 0 ? -magnitude : magnitude;
}

/// FNV-1a, to turn a parameter's name into a stream.
inline std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

}  // namespace detail

/// Random numbers by index: value `i` of stream (seed, name) is always the same, on every machine and in any order.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  RandomStream(std::uint64_t seed, std::string_view name) : RandomStream(seed, detail::hash_name(name)) {}

  std::uint64_t bits(std::uint64_t index) const {
    const auto words = philox({low(index), high(index), low(stream_), high(stream_)}, {low(seed_), high(seed_)});
    return (std::uint64_t{words[1]} << 32) | words[0];
  }
  /// Uniform in the open interval (0, 1), a multiple of 2⁻⁵³ plus 2⁻⁵⁴.
  double uniform(std::uint64_t index) const { return (static_cast<double>(bits(index) >> 11) + 0.5) * 0x1p-53; }
  /// Standard normal, by arithmetic only.
  double normal(std::uint64_t index) const { return detail::inverse_normal(uniform(index)); }
  /// Uniform integer in [0, bound) (Lemire's multiply-shift; bias below bound · 2⁻⁶⁴).
  std::uint64_t below(std::uint64_t index, std::uint64_t bound) const {
    const std::uint64_t value = bits(index), high_part = (value >> 32) * bound,
                        low_part = (value & 0xFFFFFFFFU) * bound;
    TTT_ASSERT(bound <= 0xFFFFFFFFU, "a bound above 2^32 would overflow");
    return (high_part + (low_part >> 32)) >> 32;
  }

 private:
  static std::uint32_t low(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
  static std::uint32_t high(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

  std::uint64_t seed_;
  std::uint64_t stream_;
};

TTT_NAMESPACE_END
