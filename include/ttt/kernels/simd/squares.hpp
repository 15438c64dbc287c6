// SPDX-License-Identifier: MIT
/// @file
/// Transposes of squares that fit into registers.
#pragma once

#include "ttt/kernels/simd/pack.hpp"

TTT_NAMESPACE_BEGIN

namespace simd {

/// Writes the transpose of a square that short registers hold; rows are `from_row` and `to_row` scalars apart.
template <class Scalar>
TTT_INLINE void transpose_square(const Scalar* from, Index from_row, Scalar* to, Index to_row) {
  using P = Pack<Scalar, Short>;
  constexpr Index size = P::size;
  P rows[size], mixed[size];
  TTT_UNROLL for (Index i = 0; i < size; ++i) rows[i] = P::load(from + i * from_row);
  if constexpr (size > 1) {
    TTT_UNROLL for (Index distance = 1; distance < size; distance *= 2) {
      TTT_UNROLL for (Index i = 0; i < size / 2; ++i) {
        mixed[2 * i] = xsimd::zip_lo(rows[i].value, rows[i + size / 2].value);
        mixed[2 * i + 1] = xsimd::zip_hi(rows[i].value, rows[i + size / 2].value);
      }
      TTT_UNROLL for (Index i = 0; i < size; ++i) rows[i] = mixed[i];
    }
  }
  TTT_UNROLL for (Index i = 0; i < size; ++i) rows[i].store(to + i * to_row);
}

#if XSIMD_WITH_AVX
/// Whether `transpose_eight` exists for Scalar.
template <class Scalar>
inline constexpr bool transposes_eight = std::is_same_v<Scalar, float>;

/// The same for eight rows of floats: squares of four change places within halves of registers, then the halves do.
TTT_INLINE void transpose_eight(const float* from, Index from_row, float* to, Index to_row) {
  __m256 rows[8], pairs[8];
  TTT_UNROLL for (Index i = 0; i < 8; ++i) rows[i] = _mm256_loadu_ps(from + i * from_row);
  TTT_UNROLL for (Index i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  TTT_UNROLL for (Index i = 0; i < 8; i += 4) {
    TTT_UNROLL for (Index j = 0; j < 2; ++j) {
      rows[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], _MM_SHUFFLE(1, 0, 1, 0));
      rows[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], _MM_SHUFFLE(3, 2, 3, 2));
    }
  }
  TTT_UNROLL for (Index i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * to_row, _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * to_row, _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x31));
  }
}
#else
template <class Scalar>
inline constexpr bool transposes_eight = false;

void transpose_eight(const float* from, Index from_row, float* to, Index to_row);  // is not there
#endif

}  // namespace simd

TTT_NAMESPACE_END
