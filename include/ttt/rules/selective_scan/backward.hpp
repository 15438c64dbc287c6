// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/core/storage.hpp"
#include "ttt/rules/selective_scan/step.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

namespace detail {

/// Sums over the channels of several numbers for each state, a pack of lanes each until the end.
template <class Arch, class Scalar>
class LaneSums {
 public:
  LaneSums(Index count, Arena& scratch) : sums_(scratch.zeros<Scalar>(count, Lanes::size)) {}

  template <class P>
  TTT_INLINE void add(Index i, P value) const {
    (P::load(sums_.row(i)) + value).store(sums_.row(i));
  }
  Scalar sum(Index i) const { return simd::reduce_add(Lanes::load(sums_.row(i))); }

 private:
  using Lanes = simd::Pack<Scalar, Arch>;
  MatrixView<Scalar> sums_;
};

/// The adjoint of one token that found `before` [N × C] and of it `kept` e^(Δ A). d_state goes from the gradient of the
/// state behind it to that of the state before it, the rows of d are assigned, d_rates accumulates.
template <class Arch, class Scalar>
void scan_step_backward(const ScanRows<const Scalar>& token, MatrixView<const Scalar> rates,
                        MatrixView<const Scalar> before, MatrixView<const Scalar> kept, const Scalar* d_out,
                        MatrixView<Scalar> d_state, const ScanRows<Scalar>& d, MatrixView<Scalar> d_rates,
                        Arena& scratch) {
  const Arena::Frame frame(scratch);
  const Scalar *const x = token.values.row(0), *const step = token.steps.row(0);
  const LaneSums<Arch, Scalar> d_input(rates.rows(), scratch), d_output(rates.rows(), scratch);
  Index c = 0;
  const auto channels = [&]<class P, int Packs>() TTT_INLINE_LAMBDA {
    for (; c + Packs * P::size <= rates.columns(); c += Packs * P::size) {
      P size[Packs], product[Packs], d_product[Packs], d_size[Packs];
      TTT_UNROLL for (int p = 0; p < Packs; ++p) {
        size[p] = P::load(step + c + p * P::size);
        product[p] = size[p] * P::load(x + c + p * P::size);
        d_product[p] = d_size[p] = P(Scalar(0));
      }
      for (Index n = 0; n < rates.rows(); ++n) {
        const P in(token.input(0, n)), out(token.output(0, n));
        P of_in(Scalar(0)), of_out(Scalar(0));
        TTT_UNROLL for (int p = 0; p < Packs; ++p) {
          const Index at = c + p * P::size;
          const P keep = P::load(kept.row(n) + at), old = P::load(before.row(n) + at), d_answer = P::load(d_out + at);
          const P later = simd::fma(out, d_answer, P::load(d_state.row(n) + at)), d_old = keep * later;
          const P of_exponent = d_old * old, now = simd::fma(keep, old, product[p] * in);
          d_old.store(d_state.row(n) + at);
          simd::fma(size[p], of_exponent, P::load(d_rates.row(n) + at)).store(d_rates.row(n) + at);
          d_size[p] = simd::fma(P::load(rates.row(n) + at), of_exponent, d_size[p]);
          d_product[p] = simd::fma(in, later, d_product[p]);
          of_in = simd::fma(later, product[p], of_in);
          of_out = simd::fma(now, d_answer, of_out);
        }
        d_input.add(n, of_in);
        d_output.add(n, of_out);
      }
      TTT_UNROLL for (int p = 0; p < Packs; ++p) {
        const Index at = c + p * P::size;
        (d_product[p] * size[p]).store(d.values.row(0) + at);
        simd::fma(d_product[p], P::load(x + at), d_size[p]).store(d.steps.row(0) + at);
      }
    }
  };
  if constexpr (!std::is_same_v<Arch, simd::Generic>) {
    channels.template operator()<simd::Pack<Scalar, Arch>, 2>();
    channels.template operator()<simd::Pack<Scalar, Arch>, 1>();
  }
  channels.template operator()<simd::Pack<Scalar, simd::Generic>, 1>();
  for (Index n = 0; n < rates.rows(); ++n) d.input(0, n) = d_input.sum(n), d.output(0, n) = d_output.sum(n);
}

}  // namespace detail

}  // namespace rules

TTT_NAMESPACE_END
