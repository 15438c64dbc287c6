// SPDX-License-Identifier: MIT
/// @file
/// A register of scalars and what is done with it lane by lane. Only the headers of this folder and simd.hpp name
/// xsimd.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// Vector registers and what is done with them; `Arch` is an xsimd architecture or `Generic`.
namespace simd {

/// One lane, no vector instructions.
struct Generic {};

/// The best architecture that the compiler's flags allow.
#if defined(XSIMD_NO_SUPPORTED_ARCHITECTURE)
using Native = Generic;
#elif XSIMD_WITH_FMA3_AVX2 && !XSIMD_WITH_AVX512F
// Where there is AVX-VNNI, which is for integers, xsimd 13 prefers it, without fused multiply-adds.
using Native = xsimd::fma3<xsimd::avx2>;
#else
using Native = xsimd::default_arch;
#endif

template <class Scalar>
using Integer = std::conditional_t<sizeof(Scalar) == 4, std::int32_t, std::int64_t>;

/// As many scalars as a register of `Arch` holds.
template <class Scalar, class Arch>
struct Pack {
  using Batch = xsimd::batch<Scalar, Arch>;
  using Mask = typename Batch::batch_bool_type;
  static constexpr Index size = static_cast<Index>(Batch::size);

  Batch value;

  TTT_INLINE Pack() = default;
  TTT_INLINE Pack(Batch batch) : value(batch) {}
  TTT_INLINE Pack(Scalar scalar) : value(scalar) {}
  static TTT_INLINE Pack load(const Scalar* from) { return Batch::load_unaligned(from); }
  TTT_INLINE void store(Scalar* to) const { value.store_unaligned(to); }

  friend TTT_INLINE Pack operator+(Pack a, Pack b) { return a.value + b.value; }
  friend TTT_INLINE Pack operator-(Pack a, Pack b) { return a.value - b.value; }
  friend TTT_INLINE Pack operator*(Pack a, Pack b) { return a.value * b.value; }
  friend TTT_INLINE Pack operator/(Pack a, Pack b) {
#if XSIMD_WITH_NEON64
    // xsimd 8 divides floats by an estimate of the reciprocal there, though the instruction exists.
    if constexpr (sizeof(Scalar) == 4) return Batch(vdivq_f32(a.value, b.value));
#endif
    return a.value / b.value;
  }
  friend TTT_INLINE Mask operator<(Pack a, Pack b) { return a.value < b.value; }
};

template <class Scalar>
struct Pack<Scalar, Generic> {
  using Mask = bool;
  static constexpr Index size = 1;

  Scalar value;

  TTT_INLINE Pack() = default;
  TTT_INLINE Pack(Scalar scalar) : value(scalar) {}
  static TTT_INLINE Pack load(const Scalar* from) { return *from; }
  TTT_INLINE void store(Scalar* to) const { *to = value; }

  friend TTT_INLINE Pack operator+(Pack a, Pack b) { return a.value + b.value; }
  friend TTT_INLINE Pack operator-(Pack a, Pack b) { return a.value - b.value; }
  friend TTT_INLINE Pack operator*(Pack a, Pack b) { return a.value * b.value; }
  friend TTT_INLINE Pack operator/(Pack a, Pack b) { return a.value / b.value; }
  friend TTT_INLINE Mask operator<(Pack a, Pack b) { return a.value < b.value; }
};

/// 128-bit registers, whose lanes every version of xsimd interleaves alike.
#if XSIMD_WITH_SSE2
using Short = xsimd::sse2;
#elif XSIMD_WITH_NEON64
using Short = xsimd::neon64;
#else
using Short = Generic;
#endif

/// Sums that a tile of a product holds in registers: enough to hide the latency of the multiply-add, beside its
/// factors. AVX-512 has room for 24 too, but tiles twice as high were slower on Zen 4, where their rows in memory met
/// in few cache sets: products and attention took 5 to 10 % longer.
inline constexpr int accumulators = XSIMD_WITH_NEON64 ? 24 : 12;

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
inline constexpr bool fused_scalar = true;
#else
inline constexpr bool fused_scalar = false;
#endif

/// a · b + c, in one rounding where the instruction set has it.
template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> fma(Pack<Scalar, Arch> a, Pack<Scalar, Arch> b, Pack<Scalar, Arch> c) {
#if XSIMD_WITH_AVX512F
  // xsimd 8 spells this fma as a product and a sum for AVX-512, which clang does not contract: a third of the speed.
  if constexpr (!std::is_same_v<Arch, Generic>) {
    constexpr bool is_512_bits = sizeof(Pack<Scalar, Arch>) == 64;
    if constexpr (is_512_bits && sizeof(Scalar) == 4) return {_mm512_fmadd_ps(a.value, b.value, c.value)};
    if constexpr (is_512_bits && sizeof(Scalar) == 8) return {_mm512_fmadd_pd(a.value, b.value, c.value)};
  }
#endif
  if constexpr (!std::is_same_v<Arch, Generic>)
    return xsimd::fma(a.value, b.value, c.value);
  else if constexpr (fused_scalar)
    return std::fma(a.value, b.value, c.value);
  else
    return a.value * b.value + c.value;
}

/// The same pack, in a register from here on: left alone, compilers read a pack from memory again at each use of it,
/// and a product is then bound by its loads.
template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> in_register(Pack<Scalar, Arch> a) {
  if constexpr (!std::is_same_v<Arch, Generic>) {
#if defined(__GNUC__) && defined(__x86_64__)
    __asm__("" : "+v"(a.value.data));
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__("" : "+w"(a.value.data));
#endif
  }
  return a;
}

/// Asks for the cache line at `from` (any address, even an invalid one), as far as the second-level cache.
TTT_INLINE void prefetch([[maybe_unused]] const void* from) {
#if defined(__GNUC__)
  __builtin_prefetch(from, 0, 2);
#endif
}

template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> sqrt(Pack<Scalar, Arch> a) {
#if XSIMD_WITH_NEON64
  if constexpr (!std::is_same_v<Arch, Generic> && sizeof(Scalar) == 4)  // an estimate in xsimd 8, as the division
    return typename Pack<Scalar, Arch>::Batch(vsqrtq_f32(a.value));
#endif
  using std::sqrt;
  using xsimd::sqrt;
  return sqrt(a.value);
}

template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> select(typename Pack<Scalar, Arch>::Mask mask, Pack<Scalar, Arch> a,
                                     Pack<Scalar, Arch> b) {
  if constexpr (std::is_same_v<Arch, Generic>)
    return mask ? a : b;
  else
    return xsimd::select(mask, a.value, b.value);
}

/// 0 in the lanes of the mask, the others as they are.
template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> zero_where(typename Pack<Scalar, Arch>::Mask mask, Pack<Scalar, Arch> a) {
#if XSIMD_WITH_AVX
  // Compilers make two instructions of a selection between a pack and 0.
  if constexpr (!std::is_same_v<Arch, Generic> && sizeof(Pack<Scalar, Arch>) == 32) {
    if constexpr (sizeof(Scalar) == 4) return {_mm256_andnot_ps(mask, a.value)};
    if constexpr (sizeof(Scalar) == 8) return {_mm256_andnot_pd(mask, a.value)};
  }
#endif
  return select(mask, Pack<Scalar, Arch>(Scalar(0)), a);
}

/// The larger lane by lane; when `b` is NaN the result is NaN, so `max(limit, x)` never hides one.
template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> max(Pack<Scalar, Arch> a, Pack<Scalar, Arch> b) {
  if constexpr (std::is_same_v<Arch, Generic>)
    return b.value < a.value ? a : b;
  else
    return xsimd::max(a.value, b.value);
}
/// The smaller lane by lane; when `b` is NaN the result is NaN.
template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> min(Pack<Scalar, Arch> a, Pack<Scalar, Arch> b) {
  if constexpr (std::is_same_v<Arch, Generic>)
    return a.value < b.value ? a : b;
  else
    return xsimd::min(a.value, b.value);
}

namespace detail {

/// The same bits as lanes of another type.
template <class To, class From, class Arch>
TTT_INLINE xsimd::batch<To, Arch> reinterpret(xsimd::batch<From, Arch> from) {
  using Batch = xsimd::batch<To, Arch>;
  // xsimd 8 names the target batch in bitwise_cast, later versions its scalar.
  if constexpr (requires {
                  { xsimd::bitwise_cast<Batch>(from) } -> std::same_as<Batch>;
                })
    return xsimd::bitwise_cast<Batch>(from);
  else
    return xsimd::bitwise_cast<To>(from);
}

}  // namespace detail

/// Moves the integer in the low mantissa bits of `shifted` (a whole number plus 1.5 · 2^mantissa_bits) into the
/// exponent of `a`: a · 2^n without a conversion instruction, which not every architecture has for doubles.
template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> scale_by_power_of_two(Pack<Scalar, Arch> a, Pack<Scalar, Arch> shifted) {
  constexpr int mantissa_bits = sizeof(Scalar) == 4 ? 23 : 52;
  if constexpr (std::is_same_v<Arch, Generic>) {
    using Word = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    return std::bit_cast<Scalar>(std::bit_cast<Word>(a.value) + (std::bit_cast<Word>(shifted.value) << mantissa_bits));
  } else {
    using Word = Integer<Scalar>;
    return detail::reinterpret<Scalar>(detail::reinterpret<Word>(a.value) +
                                       (detail::reinterpret<Word>(shifted.value) << mantissa_bits));
  }
}

}  // namespace simd

TTT_NAMESPACE_END
