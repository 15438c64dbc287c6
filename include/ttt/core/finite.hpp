// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
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

TTT_NAMESPACE_END
