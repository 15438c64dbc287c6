// SPDX-License-Identifier: MIT
#pragma once

#include "ttt/rules/large_chunk/swiglu_chunk.hpp"

TTT_NAMESPACE_BEGIN

namespace rules {

/// The adjoint of `swiglu_chunk`, from the gradients of the sums, which are the same for all tokens of a chunk.
template <class Arch, class Scalar>
class SwigluChunkBackward {
 public:
  using Matrix = MatrixView<Scalar>;
  using ConstRows = LargeChunkRows<const Scalar>;

  /// Adds to the gradients of the weights in `d`. Memory is taken from `scratch`, whose frame must outlive it.
  SwigluChunkBackward(const LearnedMatrices<Scalar, 3>& matrices, const LearnedMatrices<Scalar, 3>& d, Arena& scratch)
      : d_(d),
        gate_(matrices[0].weight, scratch),
        down_(matrices[1].weight, scratch),
        up_(matrices[2].weight, scratch),
        d_gate_sum_(d[0].sum, scratch),
        d_down_sum_(d[1].sum, scratch),
        d_up_sum_(d[2].sum, scratch),
        hidden_(matrices[0].weight.columns()),
        scratch_(scratch) {}

  /// Assigns all of d_rows but the momentum.
  void run(const ConstRows& all, MatrixView<const Scalar> d_out, const LargeChunkRows<Scalar>& d_rows) {
    for_each_block(all, [&](const ConstRows& rows, Index first, Index count) {
      const Arena::Frame frame(scratch_);
      const auto d = d_rows.rows(first, count);
      answers(rows.queries, d_out.rows(first, count), d.queries);
      steps(rows, d);
    });
  }

 private:
  static constexpr auto assign = kernels::Output::assign, accumulate = kernels::Output::accumulate;

  /// A matrix and its transpose as right factors.
  struct Factor {
    PanelView<Scalar> panels, turned;
    Factor(Matrix w, Arena& scratch)
        : panels(detail::panels_of<Scalar>(w, scratch)), turned(detail::transposed_panels_of<Scalar>(w, scratch)) {}
  };

  Matrix hidden(Index rows) { return scratch_.matrix<Scalar>(rows, hidden_); }
  static void multiply(MatrixView<const Scalar> a, const PanelView<Scalar>& b, Matrix c,
                       kernels::Output output = assign) {
    kernels::matmul<Arch, Scalar>(kernels::Left<Scalar>(a), b, c, output);
  }
  void add_outer(MatrixView<const Scalar> left, MatrixView<const Scalar> right, Matrix sum) {
    detail::packed_product<Arch, Scalar>(kernels::transposed(left), right, sum, accumulate, scratch_);
  }

  /// f(q) = (silu(a) ∘ u) W1.
  void answers(MatrixView<const Scalar> q, MatrixView<const Scalar> d_out, Matrix d_q) {
    const Index count = q.rows();
    const Matrix a = hidden(count), u = hidden(count), h = hidden(count), d_h = hidden(count);
    multiply(q, gate_.panels, a);
    multiply(q, up_.panels, u);
    kernels::gate_rows<Arch, Scalar>(kernels::Activation::silu, a, u, h);
    add_outer(h, d_out, d_[1].weight);
    multiply(d_out, down_.turned, d_h);
    kernels::gate_rows_backward<Arch, Scalar>(kernels::Activation::silu, a, u, d_h, a, u);
    back_through(q, a, u, d_q, assign);
  }

  /// Backward of a = x W0 and u = x W2: d_x, and the gradients of both matrices.
  void back_through(MatrixView<const Scalar> x, Matrix d_a, Matrix d_u, Matrix d_x, kernels::Output output) {
    multiply(d_a, gate_.turned, d_x, output);
    multiply(d_u, up_.turned, d_x, accumulate);
    add_outer(x, d_a, d_[0].weight);
    add_outer(x, d_u, d_[2].weight);
  }

  /// The steps of W0, W1 and W2 without their rates, g0 = silu′(a) ∘ u ∘ y, g1 = silu(a) ∘ u, g2 = silu(a) ∘ y.
  struct Steps {
    Matrix g0, g1, g2;
  };

  void steps(const ConstRows& rows, const LargeChunkRows<Scalar>& d) {
    const Index count = rows.tokens();
    const Matrix a = hidden(count), u = hidden(count), y = hidden(count);
    multiply(rows.keys, gate_.panels, a);
    multiply(rows.keys, up_.panels, u);
    multiply(rows.values, down_.turned, y);
    // What the sums tell of each step: k dS0, v dS1ᵀ and k dS2.
    const Steps told{hidden(count), hidden(count), hidden(count)}, g{hidden(count), hidden(count), hidden(count)};
    multiply(rows.keys, d_gate_sum_.panels, told.g0);
    multiply(rows.values, d_down_sum_.turned, told.g1);
    multiply(rows.keys, d_up_sum_.panels, told.g2);
    for (Index t = 0; t < count; ++t) {
      step_row(rows.rates.row(t), told, g, t, a, u, y);
      d.rates(t, 0) = scaled_dot(told.g0.row(t), rows.rates(t, 0), g.g0.row(t));
      d.rates(t, 1) = scaled_dot(told.g1.row(t), rows.rates(t, 1), g.g1.row(t));
      d.rates(t, 2) = scaled_dot(told.g2.row(t), rows.rates(t, 2), g.g2.row(t));
    }
    multiply(g.g0, d_gate_sum_.turned, d.keys);
    multiply(g.g2, d_up_sum_.turned, d.keys, accumulate);
    back_through(rows.keys, a, u, d.keys, accumulate);
    multiply(g.g1, d_down_sum_.panels, d.values);
    multiply(y, down_.panels, d.values, accumulate);
    add_outer(y, rows.values, d_[1].weight);
  }

  /// Row t: the steps, and the gradients of a, u and y in their places.
  void step_row(const Scalar* rates, const Steps& told, const Steps& g, Index t, Matrix a, Matrix u, Matrix y) {
    simd::for_each_pack<Scalar, Arch>(hidden_, [&]<class P>(P, Index f) TTT_INLINE_LAMBDA {
      const kernels::Silu silu(P::load(a.row(t) + f));
      const P value = silu.value(), slope = silu.derivative();
      const P of_up = P::load(u.row(t) + f), of_value = P::load(y.row(t) + f);
      const P d0 = P(rates[0]) * P::load(told.g0.row(t) + f), d1 = P(rates[1]) * P::load(told.g1.row(t) + f),
              d2 = P(rates[2]) * P::load(told.g2.row(t) + f);
      (slope * of_up * of_value).store(g.g0.row(t) + f);
      (value * of_up).store(g.g1.row(t) + f);
      (value * of_value).store(g.g2.row(t) + f);
      const P of_slope = simd::fma(d1, of_up, d2 * of_value);
      simd::fma(d0 * of_up * of_value, silu.second_derivative(), of_slope * slope).store(a.row(t) + f);
      simd::fma(d0 * slope, of_value, d1 * value).store(u.row(t) + f);
      simd::fma(d0 * slope, of_up, d2 * value).store(y.row(t) + f);
    });
  }
  /// told · g, after which g is times the rate.
  Scalar scaled_dot(const Scalar* told, Scalar rate, Scalar* g) const {
    return simd::sum_packs<Scalar, Arch>(hidden_, [&]<class P>(P, Index f) TTT_INLINE_LAMBDA {
      const P step = P::load(g + f);
      (P(rate) * step).store(g + f);
      return P::load(told + f) * step;
    });
  }

  const LearnedMatrices<Scalar, 3>& d_;
  Factor gate_, down_, up_, d_gate_sum_, d_down_sum_, d_up_sum_;
  Index hidden_;
  Arena& scratch_;
};

}  // namespace rules

TTT_NAMESPACE_END
