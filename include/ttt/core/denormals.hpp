// SPDX-License-Identifier: MIT
/// @file
/// Denormal numbers, those below the smallest normal one (1e-38 in float): many processors take a hundred times as long
/// for a sum or product with one. Kernels make none where a normal result is as good, as in saturated activations; from
/// inputs that are as small themselves they come all the same.
#pragma once

#include <cstdint>

#include "ttt/core/config.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

TTT_NAMESPACE_BEGIN

namespace detail {

/// How a thread rounds and what it does with denormal numbers: the control bits of its floating-point unit, without the
/// flags that computations leave there.
class FloatingPointMode {
 public:
  /// That of the calling thread.
  static FloatingPointMode current() { return FloatingPointMode(read() & control); }
  /// Makes it that of the calling thread.
  void set() const { write((read() & ~control) | word_); }
  /// The same with denormal numbers taken for zero, as operands and as results.
  FloatingPointMode flushing() const { return FloatingPointMode(word_ | flush); }
  /// Whether that makes a difference on this processor.
  static constexpr bool can_flush() { return flush != 0; }
  friend bool operator==(FloatingPointMode, FloatingPointMode) = default;

 private:
#if defined(__x86_64__) || defined(_M_X64)
  using Word = unsigned;
  static constexpr Word flush = 0x8040, control = ~Word{0x3F};  // MXCSR: FTZ and DAZ; all but the sticky exceptions
  static Word read() { return _mm_getcsr(); }
  static void write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = std::uint64_t;
  static constexpr Word flush = Word{1} << 24, control = ~Word{0};  // FPCR.FZ
  static Word read() {
    Word word;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = unsigned;
  static constexpr Word flush = 0, control = 0;
  static Word read() { return 0; }
  static void write(Word) {}
#endif

  explicit FloatingPointMode(Word word) : word_(word) {}

  Word word_;
};

/// The calling thread is in a mode until the end of the scope, then in the one it was in.
class FloatingPointScope {
 public:
  explicit FloatingPointScope(FloatingPointMode mode) : before_(FloatingPointMode::current()) {
    if (mode != before_) mode.set();
  }
  FloatingPointScope(const FloatingPointScope&) = delete;
  FloatingPointScope& operator=(const FloatingPointScope&) = delete;
  ~FloatingPointScope() {
    if (FloatingPointMode::current() != before_) before_.set();
  }

 private:
  FloatingPointMode before_;
};

}  // namespace detail

/// Until the end of the scope the calling thread takes denormal numbers for zero, and so do the tasks of an Executor
/// that it runs meanwhile: training and decoding then take as long for tiny numbers as for others. Scopes nest.
///
///     const ttt::FlushDenormals flush;
///
/// It changes results by less than 1e-37 of what they are computed from, the same on every thread; but not those of two
/// programs of which only one has it. On processors other than x86-64 and AArch64 it does nothing (`is_supported`).
class FlushDenormals {
 public:
  static constexpr bool is_supported = detail::FloatingPointMode::can_flush();

  FlushDenormals() : scope_(detail::FloatingPointMode::current().flushing()) {}

 private:
  detail::FloatingPointScope scope_;
};

TTT_NAMESPACE_END
