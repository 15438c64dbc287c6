// SPDX-License-Identifier: MIT
/// @file
/// Depthwise causal convolution over the tokens of one sequence. The inputs before the first token of a call are its
/// **tail** [(taps − 1) × C], oldest first, which makes any split of a sequence into calls give the same bits.
///
/// Weights come transposed, [taps × C], the last row for the current token, so that packs run along the channels.
#pragma once

#include <algorithm>
#include <type_traits>

#include "ttt/core/view.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/simd.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// Row `s` of the tail followed by x.
template <class Scalar>
TTT_INLINE Scalar* row_behind_tail(MatrixView<Scalar> tail, MatrixView<Scalar> x, Index s) {
  return s < tail.rows() ? tail.row(s) : x.row(s - tail.rows());
}

/// to[c] = (assign) or += the value of `chain(pack, start, c)`, a chain of sums that begins at `start`.
template <class Arch, class Scalar, class Chain>
TTT_INLINE void write_chain(Index channels, Scalar* to, Output output, Chain&& chain) {
  simd::for_each_pack<Scalar, Arch>(channels, [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
    chain(output == Output::assign ? P(Scalar(0)) : P::load(to + c), c).store(to + c);
  });
}

/// Calls `body` with the number of taps, known to the compiler where it is that of the published models.
template <class Body>
TTT_INLINE void with_taps(Index taps, Body&& body) {
  if (taps == 4)
    body(Extent<4>());
  else
    body(Extent<dynamic>(taps));
}

/// d_weights[j] += Σ_t d_y[t] ∘ x[t + j], t in order. Blocks of rows stay in the first-level cache for all their packs.
template <class Arch, class Taps, class Scalar>
void accumulate_taps(Taps taps, const Scalar* x, Index x_stride, MatrixView<const Scalar> d_y,
                     MatrixView<Scalar> d_weights) {
  constexpr Index block = 16;
  for (Index first = 0; first < d_y.rows(); first += block) {
    const Index last = std::min(first + block, d_y.rows());
    simd::for_each_pack<Scalar, Arch>(d_y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      if constexpr (std::is_same_v<Taps, Extent<4>>) {
        P sum[4];
        for (Index j = 0; j < 4; ++j) sum[j] = P::load(d_weights.row(j) + c);
        for (Index t = first; t < last; ++t)
          for (Index j = 0; j < 4; ++j)
            sum[j] = simd::fma(P::load(d_y.row(t) + c), P::load(x + (t + j) * x_stride + c), sum[j]);
        for (Index j = 0; j < 4; ++j) sum[j].store(d_weights.row(j) + c);
      } else {
        for (Index j = 0; j < taps; ++j) {
          P sum = P::load(d_weights.row(j) + c);
          for (Index t = first; t < last; ++t)
            sum = simd::fma(P::load(d_y.row(t) + c), P::load(x + (t + j) * x_stride + c), sum);
          sum.store(d_weights.row(j) + c);
        }
      }
    });
  }
}

/// d_x[t] (+)= Σ_j weights[j] ∘ d_y[t + taps − 1 − j], and the same for the rows of the tail.
template <class Arch, class Scalar>
void inputs_backward(MatrixView<const Scalar> weights, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                     MatrixView<Scalar> d_tail, Output output) {
  const Index tokens = d_y.rows(), channels = d_y.columns(), taps = weights.rows();
  for (Index s = 0; s < taps - 1 + tokens; ++s) {
    const auto target = s < taps - 1 ? d_tail : d_x;
    if (target.empty()) continue;
    Scalar* const to = target.row(s < taps - 1 ? s : s - taps + 1);
    const auto add = [&](Index first, auto end) TTT_INLINE_LAMBDA {
      write_chain<Arch>(channels, to, output, [&]<class P>(P sum, Index c) TTT_INLINE_LAMBDA {
        for (Index j = first; j < end; ++j)
          sum = simd::fma(P::load(weights.row(j) + c), P::load(d_y.row(s - j) + c), sum);
        return sum;
      });
    };
    if (s >= taps - 1 && s < tokens)
      with_taps(taps, [&](auto all) TTT_INLINE_LAMBDA { add(0, all); });
    else
      add(std::max<Index>(0, s - tokens + 1), std::min(taps, s + 1));
  }
}

/// d_weights[j] += Σ_t d_y[t] ∘ x[t − taps + 1 + j].
template <class Arch, class Scalar>
void weights_backward(MatrixView<const Scalar> x, MatrixView<const Scalar> tail, MatrixView<const Scalar> d_y,
                      MatrixView<Scalar> d_weights) {
  const Index taps = d_weights.rows(), edge = std::min(taps - 1, d_y.rows());
  for (Index j = 0; j < taps; ++j)
    write_chain<Arch>(d_y.columns(), d_weights.row(j), Output::accumulate,
                      [&]<class P>(P sum, Index c) TTT_INLINE_LAMBDA {
                        for (Index t = 0; t < edge; ++t)
                          sum = simd::fma(P::load(d_y.row(t) + c), P::load(row_behind_tail(tail, x, t + j) + c), sum);
                        return sum;
                      });
  with_taps(taps, [&](auto all) {
    accumulate_taps<Arch, decltype(all), Scalar>(all, x.data(), x.stride(), d_y.rows(edge, d_y.rows() - edge),
                                                 d_weights);
  });
}

}  // namespace detail

/// y[t] = bias + Σ_j weights[j] ∘ x[t − taps + 1 + j], where rows before the first are those of `tail`.
///
/// x, y [T × C], weights [taps × C], bias [C] or empty, tail [(taps − 1) × C]. y is assigned and must not overlap x.
/// Each element is one chain of fused multiply-adds from the bias, or 0, over j = 0, 1, …
template <class Arch = simd::Native, class Scalar>
void causal_convolution(MatrixView<const std::type_identity_t<Scalar>> x,
                        MatrixView<const std::type_identity_t<Scalar>> tail,
                        MatrixView<const std::type_identity_t<Scalar>> weights,
                        VectorView<const std::type_identity_t<Scalar>> bias, MatrixView<Scalar> y) {
  TTT_ASSERT(tail.rows() == weights.rows() - 1, "a tail has one row less than there are taps");
  const auto write = [&](Index t, auto taps, auto&& source) TTT_INLINE_LAMBDA {
    simd::for_each_pack<Scalar, Arch>(y.columns(), [&]<class P>(P, Index c) TTT_INLINE_LAMBDA {
      P sum = bias.empty() ? P(Scalar(0)) : P::load(bias.data() + c);
      for (Index j = 0; j < taps; ++j) sum = simd::fma(P::load(weights.row(j) + c), P::load(source(j) + c), sum);
      sum.store(y.row(t) + c);
    });
  };
  const Index edge = std::min(tail.rows(), y.rows());  // rows that reach back into the tail
  for (Index t = 0; t < edge; ++t)
    write(t, weights.rows(), [&](Index j) TTT_INLINE_LAMBDA { return detail::row_behind_tail(tail, x, t + j); });
  detail::with_taps(weights.rows(), [&](auto taps) TTT_INLINE_LAMBDA {
    for (Index t = edge; t < y.rows(); ++t)
      write(t, taps, [&](Index j) TTT_INLINE_LAMBDA { return x.row(t - edge + j); });
  });
}

/// Backward of `causal_convolution`: d_x[t] (+)= Σ_j weights[j] ∘ d_y[t + taps − 1 − j], d_tail likewise for the rows
/// of the tail, d_weights[j] += Σ_t d_y[t] ∘ x[t − taps + 1 + j], d_bias += Σ_t d_y[t].
///
/// d_x and d_tail are assigned or accumulated as `output` says, d_weights [taps × C] and d_bias [C] accumulate over t
/// in order; empty ones are not wanted. No output may overlap d_y. What a loss says about the tail that the call leaves
/// behind comes through `advance_tail_backward`.
template <class Arch = simd::Native, class Scalar>
void causal_convolution_backward(MatrixView<const std::type_identity_t<Scalar>> x,
                                 MatrixView<const std::type_identity_t<Scalar>> tail, MatrixView<const Scalar> weights,
                                 MatrixView<const std::type_identity_t<Scalar>> d_y,
                                 MatrixView<std::type_identity_t<Scalar>> d_x,
                                 MatrixView<std::type_identity_t<Scalar>> d_tail,
                                 MatrixView<std::type_identity_t<Scalar>> d_weights,
                                 VectorView<std::type_identity_t<Scalar>> d_bias, Output output = Output::assign) {
  detail::inputs_backward<Arch, Scalar>(weights, d_y, d_x, d_tail, output);
  if (!d_weights.empty()) detail::weights_backward<Arch, Scalar>(x, tail, d_y, d_weights);
  if (d_bias.empty()) return;
  for (Index t = 0; t < d_y.rows(); ++t)
    detail::write_chain<Arch>(d_y.columns(), d_bias.data(), Output::accumulate,
                              [&]<class P>(P sum, Index c) TTT_INLINE_LAMBDA { return sum + P::load(d_y.row(t) + c); });
}

/// Turns the tail before the rows x [T × C] into the tail behind them, for any T.
template <class Scalar>
void advance_tail(MatrixView<const std::type_identity_t<Scalar>> x, MatrixView<Scalar> tail) {
  for (Index i = 0; i < tail.rows(); ++i) {
    const Scalar* source = detail::row_behind_tail(MatrixView<const Scalar>(tail), x, x.rows() + i);
    if (source != tail.row(i)) std::copy_n(source, tail.columns(), tail.row(i));
  }
}

/// Backward of `advance_tail`: turns the gradient of the tail behind the rows into that of the tail before them, and
/// adds to d_x [T × C] what the rows in the tail get. An empty d_x is not wanted; T is `tokens` all the same.
template <class Scalar>
void advance_tail_backward(Index tokens, MatrixView<std::type_identity_t<Scalar>> d_x, MatrixView<Scalar> d_tail) {
  const Index rows = d_tail.rows(), channels = d_tail.columns();
  if (!d_x.empty())
    for (Index t = std::max<Index>(0, tokens - rows); t < tokens; ++t)
      for (Index c = 0; c < channels; ++c) d_x(t, c) += d_tail(t + rows - tokens, c);
  for (Index i = rows - 1; i >= 0; --i)
    for (Index c = 0; c < channels; ++c) d_tail(i, c) = i >= tokens ? d_tail(i - tokens, c) : Scalar(0);
}

}  // namespace kernels

namespace reference {

/// `kernels::causal_convolution` as the sum it is, weight [C × taps] as published; rows before the tail do not exist.
template <class Scalar>
void causal_convolution(MatrixView<const Scalar> x, MatrixView<const Scalar> tail, MatrixView<const Scalar> weight,
                        VectorView<const Scalar> bias, MatrixView<Scalar> y) {
  const Index taps = weight.columns();
  for (Index t = 0; t < y.rows(); ++t)
    for (Index c = 0; c < y.columns(); ++c) {
      Scalar sum = bias[c];
      for (Index j = 0; j < taps; ++j) {
        const Index source = t - taps + 1 + j;
        sum += weight(c, j) * (source < 0 ? tail(taps - 1 + source, c) : x(source, c));
      }
      y(t, c) = sum;
    }
}

}  // namespace reference

TTT_NAMESPACE_END
