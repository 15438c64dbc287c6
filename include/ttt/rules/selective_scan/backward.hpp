// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <type_traits>

#include "ttt/core/storage.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/rules/selective_scan/walk.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// Sums over channels of a number for each token and state: lanes stay side by side until all channels are in.
template <class Arch, class Scalar>
class ChannelSums {
 public:
  ChannelSums(Index count, Arena& scratch)
      : wide_(scratch.zeros<Scalar>(count, Wide::size)), lanes_(scratch.zeros<Scalar>(1, count)) {}

  /// Sum i += a ∘ b.
  template <class P>
  TTT_INLINE void add(Index i, P a, P b) const {
    Scalar* const sum = std::is_same_v<P, Wide> ? wide_.row(i) : lanes_.data() + i;
    simd::fma(a, b, P::load(sum)).store(sum);
  }
  /// Assigns them to [T × N].
  void write(MatrixView<Scalar> to) const {
    for (Index t = 0; t < to.rows(); ++t)
      simd::for_each_pack<Scalar, Arch>(to.columns(), [&]<class P>(P, Index n) TTT_INLINE_LAMBDA {
        const Index first = t * to.columns() + n;
        std::array<Wide, P::size> packs;
        for (Index i = 0; i < P::size; ++i) packs[static_cast<std::size_t>(i)] = Wide::load(wide_.row(first + i));
        P sums;
        if constexpr (P::size == Wide::size)
          sums = simd::lane_sums(packs);
        else
          sums = P(simd::reduce_add(packs[0]));
        (sums + P::load(lanes_.data() + first)).store(to.row(t) + n);
      });
  }

 private:
  using Wide = simd::Pack<Scalar, Arch>;

  MatrixView<Scalar> wide_, lanes_;
};

/// The adjoint of one walk.
template <class Arch, class Scalar>
class ScanWalkBackward {
 public:
  using Matrix = MatrixView<Scalar>;
  using ConstMatrix = MatrixView<const Scalar>;

  ScanWalkBackward(const ScanRows<const Scalar>& rows, ConstMatrix rates, Arena& scratch)
      : frame_(scratch),
        rows_(rows),
        rates_(rates),
        of_input_(rows.tokens() * rows.states(), scratch),
        of_output_(rows.tokens() * rows.states(), scratch) {}

  /// Of one that began with `state`: d_state goes from the gradient of the state behind it to that of the state before
  /// it, `d` are assigned, d_rates accumulates.
  void run(ConstMatrix state, ConstMatrix d_out, Matrix d_state, const ScanRows<Scalar>& d, Matrix d_rates) const {
    simd::for_each_pack<Scalar, Arch>(rates_.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      over_states(rates_.rows(), [&]<Index count>(Extent<count>, Index n) TTT_INLINE_LAMBDA {
        P before[scan_tokens + 1][count], kept[scan_tokens][count];
        bring_back<P, count>(state, n, c, before, kept);
        turn<P, count>(before, kept, n, c, d_out, d_state, d, d_rates);
      });
      for (Index t = 0; t < rows_.tokens(); ++t) {  // so far d.values is the gradient of Δ x
        Scalar *const d_x = d.values.row(t) + c, *const d_step = d.steps.row(t) + c;
        const P of_product = P::load(d_x);
        simd::fma(of_product, P::load(rows_.values.row(t) + c), P::load(d_step)).store(d_step);
        (of_product * P::load(rows_.steps.row(t) + c)).store(d_x);
      }
    });
    of_input_.write(d.input);
    of_output_.write(d.output);
  }

 private:
  /// All states of the walk, and what each step keeps.
  template <class P, Index count>
  TTT_INLINE void bring_back(ConstMatrix state, Index n, Index c, P (*before)[count], P (*kept)[count]) const {
    const ScanRows<const Scalar> rows = rows_;
    ScanStates<P, count> states(state, rates_, n, c);
    TTT_UNROLL for (Index k = 0; k < count; ++k) before[0][k] = states.now[k];
    for (Index t = 0; t < rows.tokens(); ++t) {
      const P size = P::load(rows.steps.row(t) + c);
      states.step(size, size * P::load(rows.values.row(t) + c), rows.input.row(t) + n, kept[t]);
      TTT_UNROLL for (Index k = 0; k < count; ++k) before[t + 1][k] = states.now[k];
    }
  }

  template <class P, Index count>
  TTT_INLINE void turn(const P (*before)[count], const P (*kept)[count], Index n, Index c, ConstMatrix d_out,
                       Matrix d_state, ScanRows<Scalar> d, Matrix d_rates) const {
    ScanStates<P, count> d_states(d_state, rates_, n, c);
    P d_rate[count];
    const ScanRows<const Scalar> rows = rows_;  // copies, as in scan_walk
    const ChannelSums<Arch, Scalar> of_input = of_input_, of_output = of_output_;
    TTT_UNROLL for (Index k = 0; k < count; ++k) d_rate[k] = P::load(d_rates.row(n + k) + c);
    for (Index t = rows.tokens() - 1; t >= 0; --t) {
      const P size = P::load(rows.steps.row(t) + c), product = size * P::load(rows.values.row(t) + c);
      const P d_answer = P::load(d_out.row(t) + c), zero(Scalar(0));
      P of_product = n == 0 ? zero : P::load(d.values.row(t) + c),
        of_step = n == 0 ? zero : P::load(d.steps.row(t) + c);
      TTT_UNROLL for (Index k = 0; k < count; ++k) {
        const P later = simd::fma(P(rows.output(t, n + k)), d_answer, d_states.now[k]);
        d_states.now[k] = kept[t][k] * later;
        const P of_exponent = d_states.now[k] * before[t][k];
        of_product = simd::fma(P(rows.input(t, n + k)), later, of_product);
        of_step = simd::fma(d_states.rate[k], of_exponent, of_step);
        d_rate[k] = simd::fma(size, of_exponent, d_rate[k]);
        of_output.add(t * rows.states() + n + k, before[t + 1][k], d_answer);
        of_input.add(t * rows.states() + n + k, later, product);
      }
      of_product.store(d.values.row(t) + c);
      of_step.store(d.steps.row(t) + c);
    }
    TTT_UNROLL for (Index k = 0; k < count; ++k) d_states.now[k].store(d_state.row(n + k) + c);
    TTT_UNROLL for (Index k = 0; k < count; ++k) d_rate[k].store(d_rates.row(n + k) + c);
  }

  Arena::Frame frame_;
  const ScanRows<const Scalar>& rows_;
  ConstMatrix rates_;
  ChannelSums<Arch, Scalar> of_input_, of_output_;
};

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
