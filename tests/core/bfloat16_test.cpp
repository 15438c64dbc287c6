// SPDX-License-Identifier: MIT
#include "ttt/core/bfloat16.hpp"

#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace ttt;

namespace {

float from(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// Both neighbours in double, where their distances are exact; what is no smaller than 2^128 − 2^119 is nearer infinity.
std::uint16_t nearest(float value) {
  const auto below = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
  const auto above = static_cast<std::uint16_t>(below + 1);
  const auto magnitude = [](std::uint16_t bits) {
    const std::uint16_t unsigned_bits = bits & 0x7FFF;
    return unsigned_bits == 0x7F80 ? 0x1p128 : static_cast<double>(bfloat16_to_float(unsigned_bits));
  };
  const double v = std::abs(static_cast<double>(value)), down = v - magnitude(below), up = magnitude(above) - v;
  return down < up || (down == up && below % 2 == 0) ? below : above;
}

}  // namespace

TEST_CASE("every bfloat16 goes to float and back, NaN stays a NaN of its sign") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bfloat16_to_float(static_cast<std::uint16_t>(bits));
    const std::uint16_t back = float_to_bfloat16(value);
    if (std::isnan(value))
      wrong += std::isnan(bfloat16_to_float(back)) && (back >> 15) == (bits >> 15) ? 0 : 1;
    else
      wrong += back == bits ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("floats go to the nearest bfloat16, ties to the even one") {
  int wrong = 0;
  for (std::uint32_t upper = 0; upper < 0x7F80; ++upper)
    for (const std::uint32_t lower : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu})
      for (const std::uint32_t sign : {0u, 1u << 31}) {
        const float value = from(sign | upper << 16 | lower);
        wrong += float_to_bfloat16(value) == nearest(value) ? 0 : 1;
      }
  CHECK(wrong == 0);
  CHECK(rounded_to_bfloat16(1.00390625f) == 1.0f);       // 1 + 2^-8, a tie
  CHECK(rounded_to_bfloat16(1.01171875f) == 1.015625f);  // 1 + 3 · 2^-8, a tie
  CHECK(std::isinf(rounded_to_bfloat16(std::numeric_limits<float>::max())));
}

TEST_CASE("a NaN whose payload is in the lower half only is still one") {
  for (const std::uint32_t bits : {0x7F800001u, 0xFF800001u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    CHECK(std::isnan(rounded_to_bfloat16(from(bits))));
    CHECK(std::signbit(rounded_to_bfloat16(from(bits))) == (bits >> 31 == 1));
  }
}
