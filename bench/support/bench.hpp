// SPDX-License-Identifier: MIT
/// @file
/// What every benchmark is made of: the arithmetic that cannot be avoided, one way to time, one set of counters.
#pragma once

#include <benchmark/benchmark.h>

#include <limits>
#include <string_view>

#include "support/machine.hpp"
#include "support/random.hpp"
#include "ttt/core/state.hpp"

namespace bench {

enum class Kind {
  ttt_linear,
  ttt_mlp,
  gated_delta_net,
  kimi_delta_attention,
  gated_linear_attention,
  mamba,
  mamba2,
  lact,
  gated_short_convolution,
  attention
};

/// FLOPs of all matrix products of one layer, forward, for `tokens` that follow `before` others; a multiply-add is two.
/// A backward is exactly twice that: what it computes again is overhead.
///
///   TTT-Linear  T (8C² + C(6D + 4K) + 2CH)
///   TTT-MLP     T (8C² + C(56D + 20K) + 2CH)
///   Gated DeltaNet  T (10C² + 4CH + C(6D + 4K)), as many key heads as value heads, chunks of K = 16
///   Kimi Delta Attention  T (8C² + 2CH + C(14D + 4K)), with maps of rank D
///   gated linear attention  T (8C² + 48C + C(2D + 1.5K)), keys of D / 2 columns, a map of rank 16
///   Mamba       T (12C² + 4C(2R + 2N)), of inner width 2C, N = 16 and R = C / 16: the scan is no product
///   Mamba-2     T (12C² + 2C(2N + H) + 2C(4N + 2K)), of inner width 2C, one group, states of N = 2D
///   LaCT        T (8C² + 2C(3 · 4 + 2 · 4) + 18CD + 4CW), of D = C / 4, with as many of the 2048 keys as there are
///   gated short convolution  8TC²: the convolution is no product
///   attention   T (8C² + 2CT), causal, and 4C for each earlier token
inline double layer_flops(Kind kind, Index width, Index heads, Index tokens, Index before = 0) {
  constexpr double mini_batch = 16;
  const auto c = static_cast<double>(width), h = static_cast<double>(heads), t = static_cast<double>(tokens);
  const double head_width = c / h;
  switch (kind) {
    case Kind::ttt_linear:
      return t * (8 * c * c + c * (6 * head_width + 4 * mini_batch) + 2 * c * h);
    case Kind::ttt_mlp:
      return t * (8 * c * c + c * (56 * head_width + 20 * mini_batch) + 2 * c * h);
    case Kind::gated_delta_net:
      return t * (10 * c * c + 4 * c * h + c * (6 * head_width + 4 * mini_batch));
    case Kind::kimi_delta_attention:
      return t * (8 * c * c + 2 * c * h + c * (14 * head_width + 4 * mini_batch));
    case Kind::gated_linear_attention:
      return t * (8 * c * c + 48 * c + c * (2 * head_width + 1.5 * mini_batch));
    case Kind::mamba:
      return t * (12 * c * c + 4 * c * (c / 8 + 32));
    case Kind::mamba2:
      return t * (12 * c * c + 2 * c * (4 * head_width + 2 * h) + 2 * c * (8 * head_width + 2 * mini_batch));
    case Kind::lact:
      return t * (8 * c * c + 40 * c + 18 * c * c / 4 + 4 * c * std::min(2048.0, static_cast<double>(before) + t / 2));
    case Kind::gated_short_convolution:
      return t * 8 * c * c;
    case Kind::attention:
      return t * (8 * c * c + 2 * c * t + 4 * c * static_cast<double>(before));
  }
  return 0;
}

/// Seconds of the fastest iteration: these machines are shared, and a neighbour only ever adds.
template <class Call>
double fastest(benchmark::State& bench, Call&& call) {
  double best = std::numeric_limits<double>::infinity();
  for (auto _ : bench) {
    const double seconds = seconds_of(call);
    bench.SetIterationTime(seconds);
    best = std::min(best, seconds);
  }
  return best;
}

/// Counters of a call that took `seconds` for `tokens`. `xfloor` is the time beside that of its matrix products at the
/// best rate a large product reaches here.
inline void count_tokens(benchmark::State& bench, double seconds, Index tokens, std::size_t state_bytes) {
  bench.counters["seconds"] = seconds;
  bench.counters["tokens"] = static_cast<double>(tokens);
  bench.counters["tokens_per_second"] = static_cast<double>(tokens) / seconds;
  bench.counters["state_bytes"] = static_cast<double>(state_bytes);
}
inline void count_floor(benchmark::State& bench, double seconds, double flops, const Peaks& peaks) {
  bench.counters["product_flops"] = flops;
  bench.counters["FLOP/s"] = flops / seconds;
  bench.counters["xfloor"] = seconds / (flops / peaks.product());
  bench.counters["peak_ours"] = peaks.ours;
  bench.counters["peak_eigen"] = peaks.eigen;
  bench.counters["peak_openblas"] = peaks.openblas;
  bench.counters["peak_fma"] = peaks.fma;
}
/// `xread` is the time beside that of one plain read of the weights from where they live.
inline void count_reads(benchmark::State& bench, double seconds, double bytes, double weight_seconds) {
  bench.counters["bytes_per_token"] = bytes;
  bench.counters["read_seconds"] = weight_seconds;
  bench.counters["xread"] = seconds / weight_seconds;
}

/// Puts a state behind `position` tokens without reading them; keys and values get numbers, fast weights keep theirs.
/// `position` is a multiple of the mini-batch, so that none is open.
template <class Scalar>
void move_behind(ttt::State<Scalar>& state, Index position, Kind kind) {
  Uniform next(1);
  if (kind == Kind::attention)
    for (Index i = 0; i < state.values.size(); ++i) state.values[i] = next();
  state.position = position;
}

}  // namespace bench
