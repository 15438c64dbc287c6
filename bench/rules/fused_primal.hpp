// SPDX-License-Identifier: MIT
// TTT-Linear token after token, as fast as we can write it: what the dual form is measured against, beside the spelled
// out primal form of the library.
#pragma once

#include "ttt/rules/ttt_linear/ttt_linear.hpp"

namespace bench {

using ttt::Arena;
using ttt::Index;
using ttt::MatrixView;
namespace rules = ttt::rules;
namespace simd = ttt::simd;

/// The rule of TTT-Linear whose primal form goes over the running sum S = Σ_s η_s k_sᵀ g_s once per token: the same
/// pass adds the token's gradient and applies it, z_r = q_r W + b − τ_r q_r S, and what all tokens of a mini-batch
/// share (gradients, q W) is computed for all of them at once.
template <class Scalar, Index D, Index K>
class FusedPrimal : public rules::TttLinear<Scalar, D, K> {
 public:
  using Rule = rules::TttLinear<Scalar, D, K>;
  using Rule::Rule;

  template <class Arch>
  void primal(const rules::TttHead<Scalar>& head, const typename Rule::State& state, rules::MiniBatchPart part,
              const rules::TttRows<const Scalar>& rows, const rules::TttPreNorm<Scalar>& of_part,
              MatrixView<Scalar> out, Arena& scratch) const {
    const Arena::Frame frame(scratch);
    const auto sum = scratch.template zeros<Scalar>(D, D), bias = scratch.template zeros<Scalar>(1, D);
    const auto z = of_part.queries;
    rules::ttt_linear_learn<Arch>(head, state, part, rows, of_part.keys);
    rules::fast_apply_start<Arch>(state.map, rows.queries, z);
    for (Index r = 0; r < part.end(); ++r) {
      const Index i = r - part.first;
      const bool answers = i >= 0;
      add_and_apply<Arch>(state, r, answers ? rows.queries.row(i) : state.map.keys.row(r),
                          answers ? head.factors[r] : 0, sum, bias, answers ? z.row(i) : z.row(0));
    }
    ttt::kernels::residual_norm_rows<Arch, Scalar>(head.norm, rows.queries, z, out);
    if (part.end() != K) return;
    ttt::kernels::add_scaled<Arch>(-head.factors[K - 1], sum.data(), D * D, state.map.weight.data());
    ttt::kernels::add_scaled<Arch>(-head.factors[K - 1], bias.data(), D, state.map.bias.data());
  }

 private:
  /// S += η_r k_rᵀ g_r and z −= τ q S, the same for b.
  template <class Arch>
  static void add_and_apply(const typename Rule::State& state, Index r, const Scalar* query, Scalar factor,
                            MatrixView<Scalar> sum, MatrixView<Scalar> bias, Scalar* z) {
    using P = simd::Pack<Scalar, Arch>;
    constexpr Index packs = D / P::size;
    const Scalar rate = state.rates[r];
    P gradient[packs], answer[packs];
    for (Index p = 0; p < packs; ++p) {
      gradient[p] = P::load(state.map.gradients.row(r) + p * P::size) * P(rate);
      const P b = P::load(bias.data() + p * P::size) + gradient[p];
      b.store(bias.data() + p * P::size);
      answer[p] = simd::fma(P(-factor), b, P::load(z + p * P::size));
    }
    for (Index row = 0; row < D; ++row) {
      const P key(state.map.keys(r, row)), weight(-factor * query[row]);
      for (Index p = 0; p < packs; ++p) {
        const P s = simd::fma(key, gradient[p], P::load(sum.row(row) + p * P::size));
        s.store(sum.row(row) + p * P::size);
        answer[p] = simd::fma(weight, s, answer[p]);
      }
    }
    for (Index p = 0; p < packs; ++p) answer[p].store(z + p * P::size);
  }
};

}  // namespace bench
