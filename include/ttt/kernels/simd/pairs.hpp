// SPDX-License-Identifier: MIT
/// @file
/// Packs of pairs: two bfloat16 in the memory of a float.
#pragma once

#include "ttt/core/bfloat16.hpp"
#include "ttt/kernels/simd/pack.hpp"

TTT_NAMESPACE_BEGIN

namespace simd {

/// Registers of `Arch` whose lanes, in factors, hold two bfloat16 each, and whose multiply-add is two: a product that
/// is written over packs becomes one of matrices of pairs.
template <class Arch>
struct Pairs {};

template <class Arch>
struct Pack<float, Pairs<Arch>> : Pack<float, Arch> {
  using Pack<float, Arch>::Pack;
  TTT_INLINE Pack() = default;
  TTT_INLINE Pack(Pack<float, Arch> pack) : Pack<float, Arch>(pack) {}
  static TTT_INLINE Pack load(const float* from) { return Pack<float, Arch>::load(from); }
};

/// Of lanes that hold a pair of bfloat16 each: those in the lower halves, as floats.
template <class Arch>
TTT_INLINE Pack<float, Arch> widen_lower(Pack<float, Arch> pairs) {
  if constexpr (std::is_same_v<Arch, Generic>) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(pairs.value) << 16);
  } else {
    return detail::reinterpret<float>(detail::reinterpret<std::int32_t>(pairs.value) << 16);
  }
}
/// … and those in the upper halves.
template <class Arch>
TTT_INLINE Pack<float, Arch> widen_upper(Pack<float, Arch> pairs) {
  constexpr std::uint32_t upper = 0xFFFF0000;
  if constexpr (std::is_same_v<Arch, Generic>)
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(pairs.value) & upper);
  else
    return Pack<float, Arch>(pairs.value & xsimd::batch<float, Arch>(std::bit_cast<float>(upper)));
}

/// Lanes that hold the pair of the bfloat16 next to those of `lower` and `upper`: ties to even, NaN stays NaN.
template <class Arch>
TTT_INLINE Pack<float, Arch> narrow_pairs(Pack<float, Arch> lower, Pack<float, Arch> upper) {
  if constexpr (std::is_same_v<Arch, Generic>) {
    const std::uint32_t low = float_to_bfloat16(lower.value), high = float_to_bfloat16(upper.value);
    return std::bit_cast<float>(high << 16 | low);
  } else {
    using Integers = xsimd::batch<std::int32_t, Arch>;
    const auto rounded = [](xsimd::batch<float, Arch> value) TTT_INLINE_LAMBDA {
      const Integers bits = detail::reinterpret<std::int32_t>(value);
      // All ones or zeros, not a select of integers: that of xsimd 8 for AVX-512 compiles only when g++ optimises.
      const Integers nan = (Integers(0x7F800000) - (bits & Integers(0x7FFFFFFF))) >> 31;
      const Integers up = Integers(0x7FFF) + ((bits >> 16) & Integers(1));
      return (bits | (nan & Integers(0x00400000))) + (up & ~nan);
    };
    const Integers low = (rounded(lower.value) >> 16) & Integers(0xFFFF);
    return detail::reinterpret<float>(low | (rounded(upper.value) & Integers(-0x10000)));
  }
}

#if defined(__AVX512BF16__)
inline constexpr bool fused_pairs = true;
#else
/// Whether the multiply-add of pairs is one instruction. NEON has one too, but it rounds in its own way.
inline constexpr bool fused_pairs = false;
#endif

/// c + a · b of the upper halves, then of the lower ones, as AVX512-BF16 does it (but for denormals, which it takes for
/// zero). A product of two bfloat16 fits into a float, so the bits do not depend on whether an instruction set fuses.
template <class Arch>
TTT_INLINE Pack<float, Pairs<Arch>> fma(Pack<float, Pairs<Arch>> a, Pack<float, Pairs<Arch>> b,
                                        Pack<float, Pairs<Arch>> c) {
  using P = Pack<float, Arch>;
#if defined(__AVX512BF16__)
  if constexpr (sizeof(P) == 64) {
    // clang 16 does not survive to see a broadcast float as bfloat16; in a register it sees neither.
    const __m512 left = in_register(static_cast<P>(a)).value, right = in_register(static_cast<P>(b)).value;
    return P(_mm512_dpbf16_ps(c.value, std::bit_cast<__m512bh>(left), std::bit_cast<__m512bh>(right)));
  }
#endif
  const P left = a, right = b, upper = fma(widen_upper(left), widen_upper(right), static_cast<P>(c));
  return fma(widen_lower(left), widen_lower(right), upper);
}
template <class Arch>
TTT_INLINE Pack<float, Pairs<Arch>> in_register(Pack<float, Pairs<Arch>> a) {
  return in_register(static_cast<Pack<float, Arch>>(a));
}

}  // namespace simd

TTT_NAMESPACE_END
