// SPDX-License-Identifier: MIT
/// @file
/// The domains that numbers of configurations have, each said in words when a number is outside of it. NaN is outside
/// of all of them.
#pragma once

#include <array>
#include <charconv>
#include <limits>
#include <string>

#include "ttt/core/error.hpp"
#include "ttt/core/finite.hpp"

TTT_NAMESPACE_BEGIN

namespace domain {

/// The shortest text that gives the number back: "0.001", "nan", "1e-300".
inline std::string text(double value) {
  std::array<char, 32> characters{};
  const auto end = std::to_chars(characters.data(), characters.data() + characters.size(), value).ptr;
  return {characters.data(), end};
}

/// Throws Error("<subject>: expected <words>, found <value>") unless `holds`.
inline void require(bool holds, const std::string& subject, const std::string& words, double value) {
  if (!holds) throw_unexpected(subject, words, text(value));
}

/// Whole numbers from `least` on.
inline void at_least(const std::string& subject, Index least, Index value) {
  if (value < least) throw_unexpected(subject, "at least " + std::to_string(least), std::to_string(value));
}
/// Sizes: from 1 to 2^30, so that the product of two is a number of bytes.
inline void size(const std::string& subject, Index value) {
  constexpr Index most = Index{1} << 30;
  at_least(subject, 1, value);
  if (value > most) throw_unexpected(subject, "at most " + std::to_string(most), std::to_string(value));
}
/// Finite numbers above 0: a base, a divisor.
inline void positive(const std::string& subject, double value) {
  require(is_finite(value) && value > 0, subject, "a finite number above 0", value);
}
/// Numbers above 0 that a float holds in full precision: what layers of either scalar divide by.
inline void positive_float(const std::string& subject, double value) {
  using Limits = std::numeric_limits<float>;
  require(value >= double{Limits::min()} && value <= double{Limits::max()}, subject,
          "a number from " + text(double{Limits::min()}) + " to " + text(double{Limits::max()}), value);
}
/// Numbers from 0 on that a float holds.
inline void not_negative_float(const std::string& subject, double value) {
  constexpr double most = std::numeric_limits<float>::max();
  require(value >= 0 && value <= most, subject, "a number from 0 to " + text(most), value);
}
/// Finite numbers from 0 on: a rate, an epsilon.
inline void not_negative(const std::string& subject, double value) {
  require(is_finite(value) && value >= 0, subject, "a finite number of at least 0", value);
}
/// Numbers of [0, 1): a decay.
inline void fraction(const std::string& subject, double value) {
  require(is_finite(value) && value >= 0 && value < 1, subject, "a number of at least 0 and below 1", value);
}
/// Numbers of [0, 1]: a part of a whole.
inline void share(const std::string& subject, double value) {
  require(is_finite(value) && value >= 0 && value <= 1, subject, "a number from 0 to 1", value);
}
/// Any finite number.
inline void finite(const std::string& subject, double value) {
  require(is_finite(value), subject, "a finite number", value);
}

}  // namespace domain

TTT_NAMESPACE_END
