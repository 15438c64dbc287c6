// SPDX-License-Identifier: MIT
/// @file
/// Rotary position embedding (Su et al. 2021, "RoFormer", equation 34): pairs of channels turned by angles that grow
/// with the position.
#pragma once

#include <cmath>
#include <cstdint>

#include "ttt/core/storage.hpp"
#include "ttt/kernels/rotary/scaling.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// Which channels of a head make a pair.
enum class RotaryPairs {
  interleaved,  ///< (2j, 2j + 1), as in the paper and in TTT
  halves        ///< (j, j + D/2), as in llama
};
inline constexpr std::array<std::string_view, 2> names_of(RotaryPairs) { return {"interleaved", "halves"}; }

/// Cosines and sines of the angles position · f_j, times the magnitude, of the D/2 frequencies f_j = θ^(−2j/D) or what
/// a scaling makes of them (rotary/scaling.hpp): a copyable value, computed in double.
///
/// Positions below `positions()` are looked up; any other is computed by `row` into the caller's storage with the same
/// bits, so that decoding beyond the table allocates nothing.
template <class Scalar>
class RotaryTable {
 public:
  RotaryTable() = default;
  /// Throws Error for a head width that is odd or not positive, and for numbers that make no frequencies.
  RotaryTable(Index head_width, Index positions, double theta, const RotaryScaling& scaling = {})
      : frequencies_(rotary_frequencies(head_width, theta, scaling)), positions_(positions) {
    values_ = Buffer<Scalar>(positions * head_width);
    for (Index p = 0; p < positions; ++p)
      row(p, values_.data() + p * head_width, values_.data() + p * head_width + pairs());
  }

  Index head_width() const { return 2 * pairs(); }
  /// Entries of a row of cosines or sines: D/2.
  Index pairs() const { return frequencies_.values.size(); }
  Index positions() const { return positions_; }

  /// The D/2 cosines of a position below `positions()`.
  const Scalar* cosines(Index position) const { return entry(position); }
  /// The D/2 sines of a position below `positions()`.
  const Scalar* sines(Index position) const { return entry(position) + pairs(); }

  /// Assigns the D/2 cosines and sines of any position, with the bits the table has where it reaches.
  void row(std::int64_t position, Scalar* cosines, Scalar* sines) const {
    for (Index j = 0; j < pairs(); ++j) {
      const double angle = static_cast<double>(position) * frequencies_.values[j];
      cosines[j] = static_cast<Scalar>(std::cos(angle) * frequencies_.magnitude);
      sines[j] = static_cast<Scalar>(std::sin(angle) * frequencies_.magnitude);
    }
  }

 private:
  const Scalar* entry(Index position) const {
    TTT_ASSERT(position >= 0 && position < positions_, "the position lies outside of the rotary table");
    return values_.data() + position * head_width();
  }

  RotaryFrequencies frequencies_;
  Buffer<Scalar> values_;  // row p holds the cosines, then the sines of position p
  Index positions_ = 0;
};

namespace detail {

template <class P>
struct RotatedPair {
  P first, second;

  TTT_INLINE RotatedPair(P a, P b, P cosine, P sine)
      : first(simd::fma(P(0) - b, sine, a * cosine)), second(simd::fma(a, sine, b * cosine)) {}
};

/// Rows of (first, second, first, second, …): the lanes are sorted through a small array, which compilers turn into
/// shuffles.
template <class P, class Scalar>
TTT_INLINE void rotate_interleaved(P cosine, P sine, const Scalar* x, Scalar* y) {
  Scalar first[static_cast<std::size_t>(P::size)], second[static_cast<std::size_t>(P::size)];
  for (Index lane = 0; lane < P::size; ++lane) {
    first[lane] = x[2 * lane];
    second[lane] = x[2 * lane + 1];
  }
  const RotatedPair<P> pair(P::load(first), P::load(second), cosine, sine);
  pair.first.store(first);
  pair.second.store(second);
  for (Index lane = 0; lane < P::size; ++lane) {
    y[2 * lane] = first[lane];
    y[2 * lane + 1] = second[lane];
  }
}

/// `direction` is 1 to turn and −1 to turn back.
template <class Arch, class Scalar>
TTT_INLINE void rotate(const Scalar* cosines, const Scalar* sines, Scalar direction, RotaryPairs pairs,
                       Index head_width, const Scalar* x, Scalar* y) {
  const Index half = head_width / 2;
  if (pairs == RotaryPairs::interleaved)
    simd::for_each_pack<Scalar, Arch>(half, [&]<class P>(P, Index j) TTT_INLINE_LAMBDA {
      rotate_interleaved(P::load(cosines + j), P::load(sines + j) * P(direction), x + 2 * j, y + 2 * j);
    });
  else
    simd::for_each_pack<Scalar, Arch>(half, [&]<class P>(P, Index j) TTT_INLINE_LAMBDA {
      const RotatedPair<P> pair(P::load(x + j), P::load(x + half + j), P::load(cosines + j),
                                P::load(sines + j) * P(direction));
      pair.first.store(y + j);
      pair.second.store(y + half + j);
    });
}

}  // namespace detail

/// Turns one row [D] of one head: (a, b) becomes (a cos − b sin, b cos + a sin). y is assigned and may equal x.
template <class Arch = simd::Native, class Scalar>
void rotate(const Scalar* cosines, const Scalar* sines, RotaryPairs pairs, Index head_width, const Scalar* x,
            Scalar* y) {
  detail::rotate<Arch, Scalar>(cosines, sines, Scalar(1), pairs, head_width, x, y);
}

/// Turns back: the transpose, which carries gradients, and where the magnitude is 1 the inverse. d_x is assigned and
/// may equal d_y.
template <class Arch = simd::Native, class Scalar>
void rotate_back(const Scalar* cosines, const Scalar* sines, RotaryPairs pairs, Index head_width, const Scalar* d_y,
                 Scalar* d_x) {
  detail::rotate<Arch, Scalar>(cosines, sines, Scalar(-1), pairs, head_width, d_y, d_x);
}

/// Which way a row is turned.
enum class RotaryTurn { forward, back };

/// Turns every head of a row [heads · D] in place, by `rotate` or `rotate_back`.
template <class Arch = simd::Native, class Scalar>
void rotate_heads(const Scalar* cosines, const Scalar* sines, RotaryPairs pairs, RotaryTurn turn, Index head_width,
                  VectorView<Scalar> row) {
  const auto each = [&](auto turn_head) TTT_INLINE_LAMBDA {
    for (Scalar* head = row.data(); head < row.data() + row.size(); head += head_width)
      turn_head(cosines, sines, pairs, head_width, head, head);
  };
  if (turn == RotaryTurn::forward)
    each(rotate<Arch, Scalar>);
  else
    each(rotate_back<Arch, Scalar>);
}

}  // namespace kernels

TTT_NAMESPACE_END
