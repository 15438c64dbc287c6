// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <type_traits>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// Neither NaN nor infinite, told from the bits, so that -ffast-math cannot remove the question.
template <std::floating_point Scalar>
constexpr bool is_finite(Scalar value) {
  static_assert(sizeof(Scalar) == 4 || sizeof(Scalar) == 8);
  using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits exponent = std::bit_cast<Bits>(std::numeric_limits<Scalar>::infinity());
  return (std::bit_cast<Bits>(value) & exponent) != exponent;
}

/// The first of `values` whose `convert(value)` is NaN or infinite; their end if there is none.
template <std::floating_point Scalar, class Convert = std::identity>
auto find_not_finite(std::span<const Scalar> values, Convert convert = {}) {
  const auto is_good = [&](Scalar value) { return is_finite(convert(value)); };
  bool all = true;  // without an early end, so that compilers check many at once
  for (const Scalar value : values) all &= is_good(value);
  return all ? values.end() : std::find_if_not(values.begin(), values.end(), is_good);
}

TTT_NAMESPACE_END
