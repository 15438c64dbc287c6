// SPDX-License-Identifier: MIT
/// @file
/// bfloat16: the upper half of a float. Two of them lie in the memory of one float, so that an arena of floats may hold
/// them: whoever reads the pair as floats moves its bits and never computes with it.
#pragma once

#include <bit>
#include <cstdint>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// The value of bfloat16 `bits`; exact.
constexpr float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// The bfloat16 next to `value`, ties to even; what is beyond the largest one becomes infinite, NaN stays NaN.
constexpr std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  constexpr std::uint32_t infinity = 0x7F800000, quiet = 0x00400000, half = 0x7FFF;
  // Rounding would carry the payload of a NaN into the exponent; whatever it was, it stays a NaN with its sign.
  if ((bits & ~(1u << 31)) > infinity) return static_cast<std::uint16_t>((bits | quiet) >> 16);
  return static_cast<std::uint16_t>((bits + half + (bits >> 16 & 1)) >> 16);
}

/// `value` rounded to bfloat16.
constexpr float rounded_to_bfloat16(float value) { return bfloat16_to_float(float_to_bfloat16(value)); }

TTT_NAMESPACE_END
