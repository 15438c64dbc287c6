// SPDX-License-Identifier: MIT
/// @file
/// What was compiled in: default x86-64 flags mean SSE2, about a quarter of the speed, and no -O a hundredth; nothing
/// else shows it.
#pragma once

#include <string>

#include "ttt/core/config.hpp"
#include "ttt/core/eigen.hpp"
#include "ttt/version.hpp"

TTT_NAMESPACE_BEGIN

/// How the translation unit that asks was compiled.
struct BuildInfo {
  std::string version;          ///< of this library, "0.1.0"
  std::string compiler;         ///< "g++ 12.2.0"
  std::string instruction_set;  ///< "AVX2 FMA", strongest first
  std::string eigen;            ///< "3.4.0"
  long standard;                ///< `__cplusplus`
  bool optimised;               ///< whether the compiler was told to: any -O but -O0
  bool assertions;              ///< whether TTT_ASSERT checks
  bool fast_math;               ///< whether the compiler may assume finite numbers and reassociate
};

/// The instruction set extensions that the compiler was allowed to use and that matter here.
inline std::string instruction_set() {
  std::string names;
  [[maybe_unused]] const auto add = [&](const char* name) { names += (names.empty() ? "" : " ") + std::string(name); };
#if defined(__AVX512F__)
  add("AVX-512");
#endif
#if defined(__AVX512BF16__)
  add("AVX512-BF16");
#endif
#if defined(__AVX2__)
  add("AVX2");
#elif defined(__AVX__)
  add("AVX");
#elif defined(__SSE4_2__)
  add("SSE4.2");
#elif defined(__SSE2__)
  add("SSE2");
#endif
#if defined(__FMA__)
  add("FMA");
#endif
#if defined(__ARM_FEATURE_SVE)
  add("SVE");
#endif
#if defined(__ARM_NEON)
  add("NEON");
#endif
  return names.empty() ? "generic" : names;
}

/// Static, so that every translation unit has its own: a linker keeps one of several inline functions.
static inline BuildInfo build_info() {
  const auto dotted = [](int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
  };
  return {
    .version = dotted(TTT_VERSION_MAJOR, TTT_VERSION_MINOR, TTT_VERSION_PATCH),
#if defined(__clang__)
    .compiler = "clang++ " + dotted(__clang_major__, __clang_minor__, __clang_patchlevel__),
#elif defined(__GNUC__)
    .compiler = "g++ " + dotted(__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__),
#else
    .compiler = "unknown",
#endif
    .instruction_set = instruction_set(),
    .eigen = dotted(EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION), .standard = __cplusplus,
#if defined(__OPTIMIZE__)
    .optimised = true,
#else
    .optimised = false,
#endif
#if defined(NDEBUG) && !defined(TTT_ASSERT_HANDLER)
    .assertions = false,
#else
    .assertions = true,
#endif
#if defined(__FAST_MATH__)
    .fast_math = true,
#else
    .fast_math = false,
#endif
  };
}

/// One line for people: "ttt 0.1.0, g++ 12.2.0, C++ 202002, AVX2 FMA, Eigen 3.4.0, not optimised, assertions on".
inline std::string describe(const BuildInfo& info) {
  return "ttt " + info.version + ", " + info.compiler + ", C++ " + std::to_string(info.standard) + ", " +
         info.instruction_set + ", Eigen " + info.eigen + (info.optimised ? "" : ", not optimised") +
         (info.assertions ? ", assertions on" : ", assertions off") + (info.fast_math ? ", fast math" : "");
}

TTT_NAMESPACE_END
