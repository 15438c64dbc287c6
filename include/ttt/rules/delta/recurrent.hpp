// SPDX-License-Identifier: MIT
/// @file
/// The delta family token by token: the form of decoding, and the reference of the form in chunks.
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/rules/delta/rows.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// Columns [n, n + Packs·size) of one step: first u = v − S̃ᵀ e where there is an e, then S = S̃ + c uᵀ and o = Sᵀ q.
template <class P, int Packs, class Scalar>
TTT_INLINE void delta_step_columns(const DeltaRows<const Scalar>& token, const Scalar* kept, Index n,
                                   MatrixView<Scalar> state, Scalar* out) {
  const bool erases = !token.erase.empty(), decays = kept != nullptr, by_row = token.decay.columns() > 1;
  P learned[Packs], answer[Packs];
  TTT_UNROLL for (int p = 0; p < Packs; ++p) {
    learned[p] = P::load(token.values.row(0) + n + p * P::size);
    answer[p] = P(Scalar(0));
  }
  const auto decayed = [&](Index d, const Scalar* place) TTT_INLINE_LAMBDA {
    return decays ? P::load(place) * P(kept[by_row ? d : 0]) : P::load(place);
  };
  for (Index d = 0; d < state.rows() && erases; ++d) {
    const P erase(-token.erase(0, d));
    TTT_UNROLL for (int p = 0; p < Packs; ++p) learned[p] =
        simd::fma(erase, decayed(d, state.row(d) + n + p * P::size), learned[p]);
  }
  for (Index d = 0; d < state.rows(); ++d) {
    const P write(token.write(0, d)), query(token.queries(0, d));
    TTT_UNROLL for (int p = 0; p < Packs; ++p) {
      Scalar* const place = state.row(d) + n + p * P::size;
      const P now = simd::fma(write, learned[p], decayed(d, place));
      now.store(place);
      answer[p] = simd::fma(query, now, answer[p]);
    }
  }
  TTT_UNROLL for (int p = 0; p < Packs; ++p) answer[p].store(out + n + p * P::size);
}

/// One token: rows of one, `state` [K × V] advances, out [V].
template <class Arch, class Scalar>
void delta_step(const DeltaRows<const Scalar>& token, MatrixView<Scalar> state, Scalar* out, Scalar* kept) {
  using P = simd::Pack<Scalar, Arch>;
  const Index width = state.columns();
  if (token.decay.empty())
    kept = nullptr;
  else
    kept_of<Arch>(token.decay.row(0), token.decay.columns(), kept);
  Index n = 0;
  for (; n + 4 * P::size <= width; n += 4 * P::size) delta_step_columns<P, 4>(token, kept, n, state, out);
  for (; n + P::size <= width; n += P::size) delta_step_columns<P, 1>(token, kept, n, state, out);
  for (; n < width; ++n) delta_step_columns<simd::Pack<Scalar, simd::Generic>, 1>(token, kept, n, state, out);
}

}  // namespace detail

/// Reads T tokens one after another, for t = 1, 2, …:
///
///     S̃ = Diag(e^g) S,   u = v − S̃ᵀ e,   S = S̃ + c uᵀ,   o = Sᵀ q
///
/// `state` S [K × V] advances, out [T × V] is assigned and overlaps nothing.
template <class Arch = simd::Native, class Scalar>
void delta_recurrent(const DeltaRows<const Scalar>& rows, MatrixView<Scalar> state, MatrixView<Scalar> out,
                     Arena& scratch) {
  const Arena::Frame frame(scratch);
  Scalar* const kept = scratch.allocate<Scalar>(rows.decay.columns());
  for (Index t = 0; t < rows.tokens(); ++t) detail::delta_step<Arch>(rows.rows(t, 1), state, out.row(t), kept);
}

}  // namespace rules

TTT_NAMESPACE_END
