// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstring>

#include "ttt/io/safetensors_header.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Whether F64 may be rounded to float when it is read.
enum class Narrowing {
  refused,  ///< F64 is read as double only
  rounded   ///< to nearest; what is beyond the range of float becomes infinite
};

namespace detail {

// Elements may lie anywhere in a file, so they are copied out instead of being pointed at.
template <class Stored, class Scalar, class Convert>
void convert_elements(std::span<const std::byte> bytes, std::span<Scalar> out, Convert convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

inline bool are_all_booleans(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return std::to_integer<unsigned>(b) <= 1; });
}

// False, with nothing written, when the element type cannot be read as Scalar.
template <std::floating_point Scalar>
bool convert_tensor(DType dtype, std::span<const std::byte> bytes, std::span<Scalar> out, Narrowing narrowing) {
  const auto widen = [](auto value) { return static_cast<Scalar>(value); };
  switch (dtype) {
    case DType::F64:
      if (sizeof(Scalar) < sizeof(double) && narrowing == Narrowing::refused) return false;
      convert_elements<double>(bytes, out, widen);
      return true;
    case DType::F32:
      convert_elements<float>(bytes, out, widen);
      return true;
    case DType::F16:
      convert_elements<std::uint16_t>(bytes, out, [&](std::uint16_t bits) { return widen(half_to_float(bits)); });
      return true;
    case DType::BF16:
      convert_elements<std::uint16_t>(bytes, out, [&](std::uint16_t bits) { return widen(bfloat16_to_float(bits)); });
      return true;
    default:
      return false;
  }
}

inline bool convert_tensor(DType dtype, std::span<const std::byte> bytes, std::span<std::int64_t> out, Narrowing) {
  const auto widen = [](auto value) { return static_cast<std::int64_t>(value); };
  switch (dtype) {
    case DType::I64:
      convert_elements<std::int64_t>(bytes, out, widen);
      return true;
    case DType::I32:
      convert_elements<std::int32_t>(bytes, out, widen);
      return true;
    case DType::BOOL:
      if (!are_all_booleans(bytes)) return false;
      [[fallthrough]];
    case DType::U8:
      convert_elements<std::uint8_t>(bytes, out, widen);
      return true;
    default:
      return false;
  }
}

template <class Scalar>
std::string readable_types() {
  if constexpr (std::same_as<Scalar, std::int64_t>) return "I64, I32, U8, or BOOL with bytes 0 and 1";
  if constexpr (std::same_as<Scalar, float>) return "F32, F16, BF16, or F64 with rounding allowed";
  return "F64, F32, F16 or BF16";
}

template <class Scalar>
[[noreturn]] void refuse_type(const TensorInfo& info, const std::string& subject) {
  throw_unexpected(subject, readable_types<Scalar>(), info.type());
}

}  // namespace detail

/// The types tensors are read as: floating types as float or double, whole numbers and booleans as std::int64_t.
template <class Scalar>
concept TensorScalar =
    std::same_as<Scalar, float> || std::same_as<Scalar, double> || std::same_as<Scalar, std::int64_t>;

/// Assigns the elements of the tensor `info`, whose bytes are `bytes`, to `out` in row-major order. Widening is exact.
/// Throws Error naming `subject`, with `out` untouched, when the number of elements or the type does not fit.
template <TensorScalar Scalar>
void read_tensor(const TensorInfo& info, std::span<const std::byte> bytes, std::span<Scalar> out, Narrowing narrowing,
                 const std::string& subject) {
  if (info.dtype == DType::other) detail::refuse_type<Scalar>(info, subject);
  if (out.size() != info.count()) {
    throw_unexpected(subject, std::to_string(out.size()) + " elements",
                     std::to_string(info.count()) + " in shape " + shape_text(info.shape));
  }
  if (!detail::convert_tensor(info.dtype, bytes, out, narrowing)) detail::refuse_type<Scalar>(info, subject);
}

}  // namespace io
TTT_NAMESPACE_END
