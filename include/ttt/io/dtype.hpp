// SPDX-License-Identifier: MIT
/// @file
/// Element types of tensor files and their exact conversion.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ttt/core/bfloat16.hpp"

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian and are read as they are");

TTT_NAMESPACE_BEGIN
namespace io {

/// Element type of a stored tensor, in the order in which the reference writer lays tensors out (first come first).
/// `other`: one that tensors may have and nobody here reads or writes.
enum class DType { I64, F64, F32, I32, BF16, F16, U8, BOOL, other };

/// What is known about each DType but `other`, indexed by it.
struct DTypeDescription {
  std::string_view name;
  std::size_t size;
};

inline constexpr std::array<DTypeDescription, 8> dtype_descriptions = {
    {{"I64", 8}, {"F64", 8}, {"F32", 4}, {"I32", 4}, {"BF16", 2}, {"F16", 2}, {"U8", 1}, {"BOOL", 1}}};

/// The other types of the format.
struct OtherDescription {
  std::string_view name;
  std::size_t bits;
};

inline constexpr std::array<OtherDescription, 14> other_descriptions = {{{"U64", 64},
                                                                         {"C64", 64},
                                                                         {"U32", 32},
                                                                         {"U16", 16},
                                                                         {"I16", 16},
                                                                         {"F8_E8M0", 8},
                                                                         {"F8_E4M3", 8},
                                                                         {"F8_E5M2", 8},
                                                                         {"F8_E4M3FNUZ", 8},
                                                                         {"F8_E5M2FNUZ", 8},
                                                                         {"I8", 8},
                                                                         {"F6_E3M2", 6},
                                                                         {"F6_E2M3", 6},
                                                                         {"F4", 4}}};

/// The name of the type in a file.
constexpr std::string_view dtype_name(DType dtype) {
  return dtype == DType::other ? "another type" : dtype_descriptions[static_cast<std::size_t>(dtype)].name;
}

/// Bytes of one element; 0 for `other`.
constexpr std::size_t dtype_size(DType dtype) {
  return dtype == DType::other ? 0 : dtype_descriptions[static_cast<std::size_t>(dtype)].size;
}

/// The type of that name; empty when it is none that can be read.
constexpr std::optional<DType> parse_dtype(std::string_view name) {
  for (std::size_t i = 0; i < dtype_descriptions.size(); ++i) {
    if (dtype_descriptions[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

/// Bits of one element of the type of that name; empty when the format has no such type.
constexpr std::optional<std::size_t> element_bits(std::string_view name) {
  if (const auto dtype = parse_dtype(name)) return 8 * dtype_size(*dtype);
  for (const OtherDescription& description : other_descriptions) {
    if (description.name == name) return description.bits;
  }
  return std::nullopt;
}

/// The DType that holds a C++ type bit for bit.
template <class Scalar>
inline constexpr std::optional<DType> dtype_of = std::nullopt;
template <>
inline constexpr std::optional<DType> dtype_of<double> = DType::F64;
template <>
inline constexpr std::optional<DType> dtype_of<float> = DType::F32;
template <>
inline constexpr std::optional<DType> dtype_of<std::int64_t> = DType::I64;
template <>
inline constexpr std::optional<DType> dtype_of<std::int32_t> = DType::I32;
template <>
inline constexpr std::optional<DType> dtype_of<std::uint8_t> = DType::U8;
template <>
inline constexpr std::optional<DType> dtype_of<bool> = DType::BOOL;

/// The value of IEEE binary16 `bits`; exact, signs of zero and bits of NaN included.
inline float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1Fu;
  const std::uint32_t fraction = bits & 0x3FFu;
  if (exponent == 0) {
    // Every subnormal half is a normal float, so the product is exact even where subnormal floats are flushed to zero.
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  const std::uint32_t wide_exponent = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (fraction << 13));
}

/// The IEEE binary16 next to `value`, ties to even; what is beyond the largest one becomes infinite, NaN stays NaN.
inline std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  constexpr std::uint32_t infinity = 0x7F800000u, too_large = 0x47800000u, smallest_normal = 0x38800000u;
  if (magnitude > infinity) return static_cast<std::uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x1FFu));
  if (magnitude >= too_large) return static_cast<std::uint16_t>(sign | 0x7C00u);
  if (magnitude < smallest_normal) {
    // Subnormal halves are multiples of 2^-24, which is the last place of 0.5: the addition rounds.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - std::bit_cast<std::uint32_t>(0.5f)));
  }
  const std::uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

}  // namespace io
TTT_NAMESPACE_END
