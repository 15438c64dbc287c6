// SPDX-License-Identifier: MIT
/// @file
/// The architectures whose packs one test program can use side by side: narrower instruction sets are always there
/// where a wider one is.
#pragma once

#include <string_view>
#include <tuple>
#include <type_traits>

#include "ttt/kernels/simd.hpp"

namespace architectures {

namespace detail {

template <class... Candidates>
struct Supported {
  template <class Arch>
  using IfSupported = std::conditional_t<Arch::supported(), std::tuple<Arch>, std::tuple<>>;
  using Type = decltype(std::tuple_cat(IfSupported<Candidates>()...));
};

}  // namespace detail

/// Vector architectures that the flags of this program allow.
#if defined(__x86_64__)
using Vectors = typename detail::Supported<xsimd::sse2, xsimd::sse4_2, xsimd::fma3<xsimd::sse4_2>, xsimd::avx,
                                           xsimd::fma3<xsimd::avx2>, xsimd::avx512bw>::Type;
#else
using Vectors = std::conditional_t<std::is_same_v<ttt::simd::Native, ttt::simd::Generic>, std::tuple<>,
                                   std::tuple<ttt::simd::Native>>;
#endif

/// Whether a multiplication and an addition of `Arch` are rounded once.
template <class Arch>
constexpr bool is_fused() {
  if constexpr (std::is_same_v<Arch, ttt::simd::Generic>) {
    return ttt::simd::fused_scalar;
  } else {
    const std::string_view name = Arch::name();
    return name.starts_with("fma3") || name.starts_with("avx512") || name.ends_with("neon") || name.ends_with("neon64");
  }
}

namespace detail {
template <class Scalar, class List>
struct PacksOf;
template <class Scalar, class... Arch>
struct PacksOf<Scalar, std::tuple<Arch...>> {
  using Type = std::tuple<ttt::simd::Pack<Scalar, ttt::simd::Generic>, ttt::simd::Pack<Scalar, Arch>...>;
};
}  // namespace detail

/// The packs of `Scalar`, the scalar one first.
template <class Scalar>
using Packs = typename detail::PacksOf<Scalar, Vectors>::Type;

/// Calls body.operator()<Arch>() for every vector architecture.
template <class Body>
void for_each(Body&& body) {
  [&]<class... Arch>(std::tuple<Arch...>) { (body.template operator()<Arch>(), ...); }(Vectors());
}

}  // namespace architectures
