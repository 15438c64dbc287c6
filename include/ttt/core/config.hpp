// SPDX-License-Identifier: MIT
/// @file
/// Every macro of the library: the inline namespace, assertions and inlining.
#pragma once

// What follows would be hundreds of errors about something else. Only a missing header stops compilers at once.
#if __cplusplus < 202002L
#error "ttt needs C++20: compile with -std=c++20 or newer"
#include <ttt: compile with -std=c++20 or newer>
#endif
#if !defined(__cpp_exceptions)
#error "ttt reports what is wrong by exceptions: compile without -fno-exceptions"
#include <ttt: compile without -fno-exceptions>
#endif

#include <cassert>
#include <cstddef>

// One program may contain translation units compiled for different instruction sets. Naming the inline namespace after
// the set keeps their symbols apart, so the linker cannot pick an AVX-512 body for a caller built for SSE2. Each part
// of the name is what flags switch alone: -mavx2 without -mfma rounds otherwise than with it.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
#define TTT_ABI_VECTORS avx512
#elif defined(__AVX512F__)
#define TTT_ABI_VECTORS avx512f
#elif defined(__AVX2__)
#define TTT_ABI_VECTORS avx2
#elif defined(__AVX__)
#define TTT_ABI_VECTORS avx
#elif defined(__SSE4_2__)
#define TTT_ABI_VECTORS sse4_2
#elif defined(__SSE4_1__)
#define TTT_ABI_VECTORS sse4_1
#elif defined(__SSSE3__)
#define TTT_ABI_VECTORS ssse3
#elif defined(__SSE3__)
#define TTT_ABI_VECTORS sse3
#elif defined(__SSE2__)
#define TTT_ABI_VECTORS sse2
#elif defined(__ARM_FEATURE_SVE)
#define TTT_ABI_VECTORS sve
#elif defined(__ARM_NEON)
#define TTT_ABI_VECTORS neon
#else
#define TTT_ABI_VECTORS generic
#endif

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define TTT_ABI_FUSED _fma
#elif defined(__FMA4__)
#define TTT_ABI_FUSED _fma4
#else
#define TTT_ABI_FUSED
#endif

#if defined(__AVX512BF16__)
#define TTT_ABI_BFLOAT16 _bf16
#else
#define TTT_ABI_BFLOAT16
#endif

#define TTT_ABI_JOINED(vectors, fused, bfloat16) v0_##vectors##fused##bfloat16
#define TTT_ABI_JOIN(vectors, fused, bfloat16) TTT_ABI_JOINED(vectors, fused, bfloat16)
#define TTT_ABI TTT_ABI_JOIN(TTT_ABI_VECTORS, TTT_ABI_FUSED, TTT_ABI_BFLOAT16)

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
#define TTT_NOINLINE __attribute__((noinline))
#define TTT_UNROLL _Pragma("GCC unroll 16")
#else
#define TTT_INLINE inline
#define TTT_INLINE_LAMBDA
#define TTT_NOINLINE
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
