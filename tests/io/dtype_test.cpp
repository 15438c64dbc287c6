// SPDX-License-Identifier: MIT
#include "ttt/io/dtype.hpp"

#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace ttt::io;
using ttt::bfloat16_to_float;

namespace {

// IEEE 754 by its definition, in arithmetic: (-1)^s · 2^(e - bias) · (1 + f / 2^width), or without the 1 for e = 0.
double defined_value(std::uint16_t bits, int fraction_width) {
  const int exponent_width = 15 - fraction_width;
  const int bias = (1 << (exponent_width - 1)) - 1;
  const int exponent = (bits >> fraction_width) & ((1 << exponent_width) - 1);
  const double fraction = std::ldexp(bits & ((1 << fraction_width) - 1), -fraction_width);
  const double sign = bits >= 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_width) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias) : sign * std::ldexp(1.0 + fraction, exponent - bias);
}

template <class Convert>
std::size_t wrong_values(int fraction_width, Convert convert) {
  std::size_t wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto value = static_cast<double>(convert(static_cast<std::uint16_t>(bits)));
    const double expected = defined_value(static_cast<std::uint16_t>(bits), fraction_width);
    const bool same = std::isnan(expected) ? std::isnan(value) : value == expected;
    wrong += !same || std::signbit(value) != (bits >= 0x8000);
  }
  return wrong;
}

}  // namespace

TEST_CASE("all 65,536 halves have the value of the definition") { CHECK(wrong_values(10, half_to_float) == 0); }

TEST_CASE("all 65,536 bfloat16 have the value of the definition") { CHECK(wrong_values(7, bfloat16_to_float) == 0); }

TEST_CASE("known halves") {
  CHECK(half_to_float(0x3C00) == 1.0f);
  CHECK(half_to_float(0xC000) == -2.0f);
  CHECK(half_to_float(0x7BFF) == 65504.0f);
  CHECK(half_to_float(0x0001) == 5.9604644775390625e-8f);
  CHECK(bfloat16_to_float(0x3F80) == 1.0f);
  CHECK(std::bit_cast<std::uint32_t>(half_to_float(0x7E01)) == 0x7FC02000u);
}

TEST_CASE("floats round to the nearest half, ties to even") {
  std::size_t wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits), after = static_cast<std::uint16_t>(half + 1);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      wrong += !std::isnan(half_to_float(float_to_half(value)));
      continue;
    }
    wrong += float_to_half(value) != half;
    if (std::isinf(value) || std::isinf(half_to_float(after))) continue;
    // Between two neighbours: the middle goes to the even one, the floats beside it to the nearer one.
    const float middle = (value + half_to_float(after)) / 2;
    wrong += float_to_half(middle) != (half % 2 == 0 ? half : after);
    wrong += float_to_half(std::nextafter(middle, value)) != half;
    wrong += float_to_half(std::nextafter(middle, half_to_float(after))) != after;
  }
  CHECK(wrong == 0);
  CHECK(float_to_half(65519.996f) == 0x7BFF);
  CHECK(float_to_half(65520.0f) == 0x7C00);
  CHECK(float_to_half(-3e38f) == 0xFC00);
  CHECK(float_to_half(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(float_to_half(-1e-9f) == 0x8000);
}

TEST_CASE("names and sizes of types") {
  for (const DTypeDescription& description : dtype_descriptions) {
    const auto dtype = parse_dtype(description.name);
    REQUIRE(dtype.has_value());
    CHECK(dtype_name(*dtype) == description.name);
    CHECK(dtype_size(*dtype) == description.size);
  }
  CHECK(dtype_name(*dtype_of<float>) == "F32");
  CHECK(dtype_name(*dtype_of<double>) == "F64");
  CHECK(dtype_name(*dtype_of<std::int64_t>) == "I64");
  CHECK(dtype_name(*dtype_of<std::int32_t>) == "I32");
  CHECK(dtype_name(*dtype_of<std::uint8_t>) == "U8");
  CHECK(dtype_name(*dtype_of<bool>) == "BOOL");
  CHECK(dtype_size(DType::BF16) == 2);
  CHECK_FALSE(parse_dtype("f32").has_value());
  CHECK_FALSE(parse_dtype("").has_value());
  CHECK_FALSE(parse_dtype("F8_E4M3").has_value());
  CHECK(dtype_size(DType::other) == 0);
}

TEST_CASE("the format has types that are not read, whose sizes are known") {
  for (const DTypeDescription& description : dtype_descriptions)
    CHECK(element_bits(description.name) == 8 * description.size);
  for (const OtherDescription& description : other_descriptions) {
    CHECK(element_bits(description.name) == description.bits);
    CHECK_FALSE(parse_dtype(description.name).has_value());
  }
  CHECK(element_bits("F6_E2M3") == std::size_t{6});
  CHECK_FALSE(element_bits("Q4_K").has_value());
}
