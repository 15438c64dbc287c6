// SPDX-License-Identifier: MIT
/// @file
/// Packs, sums across their lanes, and loops. A kernel body is written once over `Pack<Scalar, Arch>`; with Arch
/// `Generic` a pack is one scalar, and the same body is the scalar reference and the tail of a row.
#pragma once

#include <array>
#include <type_traits>

#include "ttt/kernels/simd/pack.hpp"

TTT_NAMESPACE_BEGIN

namespace simd {

/// Sum of the lanes, in an order fixed by the architecture.
template <class Scalar, class Arch>
TTT_INLINE Scalar reduce_add(Pack<Scalar, Arch> a) {
  if constexpr (std::is_same_v<Arch, Generic>)
    return a.value;
  else
#if XSIMD_VERSION_MAJOR < 9
    return xsimd::hadd(a.value);
#else
    return xsimd::reduce_add(a.value);
#endif
}

template <class Scalar, class Arch>
TTT_INLINE Scalar reduce_max(Pack<Scalar, Arch> a) {
  Scalar lanes[static_cast<std::size_t>(Pack<Scalar, Arch>::size)];
  a.store(lanes);
  Scalar largest = lanes[0];
  for (const Scalar lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

/// Lane r of the result is the sum of the lanes of rows[r], all rows added in the same order.
template <class Scalar, class Arch>
TTT_INLINE Pack<Scalar, Arch> lane_sums(const std::array<Pack<Scalar, Arch>, Pack<Scalar, Arch>::size>& rows) {
  if constexpr (std::is_same_v<Arch, Generic>) {
    return rows[0];
  } else {
#if XSIMD_WITH_AVX
    if constexpr (sizeof(Pack<Scalar, Arch>) == 32 && sizeof(Scalar) == 4) {
      __m256 pair[4], four[2];
      for (std::size_t i = 0; i < 4; ++i) {
        const __m256 a = rows[2 * i].value, b = rows[2 * i + 1].value;
        pair[i] = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
      }
      for (std::size_t i = 0; i < 2; ++i) {
        const __m256d a = _mm256_castps_pd(pair[2 * i]), b = _mm256_castps_pd(pair[2 * i + 1]);
        four[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
      }
      return typename Pack<Scalar, Arch>::Batch(_mm256_add_ps(_mm256_permute2f128_ps(four[0], four[1], 0x20),
                                                              _mm256_permute2f128_ps(four[0], four[1], 0x31)));
    }
#endif
    Scalar sums[static_cast<std::size_t>(Pack<Scalar, Arch>::size)];
    for (std::size_t r = 0; r < rows.size(); ++r) sums[r] = reduce_add(rows[r]);
    return Pack<Scalar, Arch>::load(sums);
  }
}

/// Calls `body(pack, i)` over [0, count): whole packs first, then single lanes. The argument only tells the pack type:
/// `[&]<class P>(P, Index i) { … P::load(x + i) … }`.
template <class Scalar, class Arch, class Body>
TTT_INLINE void for_each_pack(Index count, Body&& body) {
  using Wide = Pack<Scalar, Arch>;
  const Index whole = Wide::size > 1 ? count - count % Wide::size : 0;
  if constexpr (Wide::size > 1)
    for (Index i = 0; i < whole; i += Wide::size) body(Wide{}, i);
  for (Index i = whole; i < count; ++i) body(Pack<Scalar, Generic>{}, i);
}

/// Σ body(pack, i) over [0, count): lanes in parallel, then across lanes, then the tail; one fixed order for each
/// count.
template <class Scalar, class Arch, class Body>
TTT_INLINE Scalar sum_packs(Index count, Body&& body) {
  using Wide = Pack<Scalar, Arch>;
  using Lane = Pack<Scalar, Generic>;
  Wide wide(Scalar(0));
  Lane lane(Scalar(0));
  for_each_pack<Scalar, Arch>(count, [&]<class P>(P pack, Index i) TTT_INLINE_LAMBDA {
    if constexpr (std::is_same_v<P, Lane>)
      lane = lane + body(pack, i);
    else
      wide = wide + body(pack, i);
  });
  if constexpr (std::is_same_v<Wide, Lane>)
    return lane.value;
  else
    return reduce_add(wide) + lane.value;
}

}  // namespace simd

TTT_NAMESPACE_END
