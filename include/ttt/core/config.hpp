// SPDX-License-Identifier: MIT
/// @file
/// Every macro of the library: the inline namespace, assertions and inlining.
#pragma once

#include <cassert>
#include <cstddef>

// One program may contain translation units compiled for different instruction sets. Naming the inline namespace after
// the set keeps their symbols apart, so the linker cannot pick an AVX-512 body for a caller built for SSE2.
#if defined(__AVX512BF16__)
#define TTT_ABI v0_avx512_bf16
#elif defined(__AVX512F__)
#define TTT_ABI v0_avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define TTT_ABI v0_avx2_fma
#elif defined(__AVX__)
#define TTT_ABI v0_avx
#elif defined(__SSE4_2__)
#define TTT_ABI v0_sse4_2
#elif defined(__SSE2__)
#define TTT_ABI v0_sse2
#elif defined(__ARM_NEON)
#define TTT_ABI v0_neon
#else
#define TTT_ABI v0_generic
#endif

#define TTT_NAMESPACE_BEGIN \
  namespace ttt {           \
  inline namespace TTT_ABI {
#define TTT_NAMESPACE_END \
  }                       \
  }

// A broken contract in hot code. Define TTT_ASSERT_HANDLER(condition_text, reason) to receive it instead of `assert`.
#if defined(TTT_ASSERT_HANDLER)
#define TTT_ASSERT(condition, reason) ((condition) ? static_cast<void>(0) : TTT_ASSERT_HANDLER(#condition, reason))
#else
#define TTT_ASSERT(condition, reason) assert((condition) && (reason))
#endif

#if defined(__GNUC__)
#define TTT_INLINE inline __attribute__((always_inline))
#define TTT_INLINE_LAMBDA __attribute__((always_inline))
#define TTT_UNROLL _Pragma("GCC unroll 16")
#else
#define TTT_INLINE inline
#define TTT_INLINE_LAMBDA
#define TTT_UNROLL
#endif

TTT_NAMESPACE_BEGIN

/// Signed type of every size, index and stride.
using Index = std::ptrdiff_t;

/// A size that is known only at run time.
inline constexpr Index dynamic = -1;

/// A size fixed at compile time (`Extent<64>`) or held at run time (`Extent<dynamic>`), used alike.
template <Index Value>
struct Extent {
  constexpr Extent() = default;
  constexpr explicit Extent([[maybe_unused]] Index value) { TTT_ASSERT(value == Value, "the static size differs"); }
  constexpr operator Index() const { return Value; }
};

template <>
struct Extent<dynamic> {
  constexpr explicit Extent(Index value) : value_(value) {}
  constexpr operator Index() const { return value_; }

 private:
  Index value_;
};

TTT_NAMESPACE_END
