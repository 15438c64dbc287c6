// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// What one head of the delta family reads, token by token, or the gradients of that. `erase` and `decay` are empty in
/// instances that have none.
template <class Scalar>
struct DeltaRows {
  MatrixView<Scalar> queries;  ///< q [T × K]
  MatrixView<Scalar> erase;    ///< e [T × K]: the state forgets what it answers to it
  MatrixView<Scalar> write;    ///< c [T × K]: where the state learns
  MatrixView<Scalar> values;   ///< v [T × V]: what it should answer
  MatrixView<Scalar> decay;  ///< g ≤ 0, the logarithm of what is kept: [T × 1], or [T × K] for each row of the state

  Index tokens() const { return queries.rows(); }
  Index key_width() const { return queries.columns(); }
  Index value_width() const { return values.columns(); }

  DeltaRows rows(Index first, Index count) const {
    const auto part = [&](MatrixView<Scalar> all) { return all.empty() ? all : all.rows(first, count); };
    return {part(queries), part(erase), part(write), part(values), part(decay)};
  }
  operator DeltaRows<const Scalar>() const requires(!std::is_const_v<Scalar>) {
    return {queries, erase, write, values, decay};
  }
};

namespace detail {

/// Fetches rows that will be read soon. Those of a head lie far apart, in as many pages, which no processor foresees.
template <class Scalar>
void prefetch_rows(const DeltaRows<const Scalar>& rows) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(Scalar));
  for (const auto& part : {rows.queries, rows.erase, rows.write, rows.values, rows.decay})
    for (Index t = 0; t < part.rows(); ++t)
      for (Index i = 0; i < part.columns(); i += line) simd::prefetch(part.row(t) + i);
}

/// to = factor ∘ from for from [T × N]: a factor [T × 1] for each row, or [T × N].
template <class Arch, class Scalar>
void scale_rows(MatrixView<const Scalar> factor, MatrixView<const Scalar> from, MatrixView<Scalar> to) {
  for (Index r = 0; r < to.rows(); ++r) {
    const Scalar *const by = factor.row(r), *const x = from.row(r);
    Scalar* const y = to.row(r);
    const bool all = factor.columns() == 1;
    simd::for_each_pack<Scalar, Arch>(to.columns(), [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
      ((all ? P(by[0]) : P::load(by + i)) * P::load(x + i)).store(y + i);
    });
  }
}

/// What a step keeps of the state: e^g, and exactly 0 where that is less than e⁻⁴³·⁵ (e⁻³⁵⁴ in double).
template <class Arch, class Scalar>
void kept_of(const Scalar* logarithms, Index count, Scalar* kept) {
  simd::for_each_pack<Scalar, Arch>(count, [&]<class P>(P, Index i) TTT_INLINE_LAMBDA {
    kernels::weight_exp(P::load(logarithms + i)).store(kept + i);
  });
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
