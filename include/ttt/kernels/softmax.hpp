// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Sums that would lose digits in float over a whole vocabulary are carried on in double.
template <class Scalar>
using Accumulator = std::conditional_t<std::is_same_v<Scalar, float>, double, Scalar>;

/// Largest element of a row; a NaN may be passed over, the exponentials find it again. Empty: −∞.
template <class Arch, class Scalar>
TTT_INLINE Scalar row_maximum(const Scalar* x, Index size) {
  using Wide = simd::Pack<Scalar, Arch>;
  constexpr Scalar lowest = -std::numeric_limits<Scalar>::infinity();
  Wide wide(lowest);
  Scalar largest = lowest;
  simd::for_each_pack<Scalar, Arch>(size, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    if constexpr (P::size == 1) {
      const Scalar value = x[i];
      largest = value > largest ? value : largest;
    } else {
      wide = simd::max(P::load(x + i), wide);
    }
  });
  const Scalar across = simd::reduce_max(wide);
  return across > largest ? across : largest;
}

/// Σ e^(x − shift) over a row. `keep(pack, i)` sees every exponential. Packs are summed eight at a time before they go
/// into the accumulator, so the relative error stays below a dozen roundings however long the row is.
template <class Arch, class Scalar, class Keep>
TTT_INLINE Accumulator<Scalar> sum_exponentials(const Scalar* x, Index size, Scalar shift, Keep&& keep) {
  constexpr Index block = 8 * simd::Pack<Scalar, Arch>::size;
  Accumulator<Scalar> sum(0);
  for (Index first = 0; first < size; first += block)
    sum += simd::sum_packs<Scalar, Arch>(size - first < block ? size - first : block,
                                         [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
                                           const P value = weight_exp(P::load(x + first + i) - P(shift));
                                           keep(value, first + i);
                                           return value;
                                         });
  return sum;
}

}  // namespace detail

/// Replaces a row [size] by its softmax and returns log Σ eˣ. The maximum is subtracted first, so no finite row
/// overflows; entries of −∞ become exactly 0, and so do those more than 43.5 (354 in double) below the maximum. At
/// least one entry must be finite.
template <class Arch = simd::Native, class Scalar>
Scalar softmax_row(Scalar* x, Index size) {
  using std::log;
  const Scalar largest = detail::row_maximum<Arch>(x, size);
  const auto sum = detail::sum_exponentials<Arch>(x, size, largest,
                                                  [&](auto value, Index i) TTT_INLINE_LAMBDA { value.store(x + i); });
  scale<Arch>(static_cast<Scalar>(1 / sum), x, size, x);
  return largest + static_cast<Scalar>(log(sum));
}

/// d_x = y ∘ (d_y − Σ y ∘ d_y) for y = softmax(x). d_x is assigned and may equal y or d_y.
template <class Arch = simd::Native, class Scalar>
void softmax_row_backward(const Scalar* y, const Scalar* d_y, Index size, Scalar* d_x) {
  const Scalar sum = simd::sum_packs<Scalar, Arch>(
      size, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA { return P::load(y + i) * P::load(d_y + i); });
  simd::for_each_pack<Scalar, Arch>(size, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    (P::load(y + i) * (P::load(d_y + i) - P(sum))).store(d_x + i);
  });
}

}  // namespace kernels

TTT_NAMESPACE_END
