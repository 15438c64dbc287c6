// SPDX-License-Identifier: MIT
/// @file
/// What this machine can do at best, measured in the run whose times are held against it.
#pragma once

#include <algorithm>
#include <chrono>

#include "ttt/core/context.hpp"

namespace bench {

using ttt::Index;

template <class Call>
double seconds_of(Call&& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A Context over so many threads. One thread is pinned to a processor while this lives, several go where they like.
class Workers {
 public:
  explicit Workers(Index threads);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers();

  ttt::Context& context() { return context_; }

 private:
  ttt::ThreadPool pool_;
  ttt::Context context_;
};

/// Rates of one large product [1024 × 1024] · [1024 × 1024] and of nothing but fused multiply-adds, in FLOP/s.
struct Peaks {
  double ours = 0;
  double eigen = 0;     ///< compiled for AVX2 and FMA, whatever the flags of the rest
  double openblas = 0;  ///< 0 where it is not installed
  double fma = 0;

  double product() const { return std::max({ours, eigen, openblas}); }
};

/// Measured when first asked for, each the best of several rounds in which the candidates alternate.
const Peaks& peaks(Index threads);

/// Reads every value once, through eight vector accumulators a thread; what comes back has no meaning but must be used.
float plain_read(const float* values, Index count, ttt::Context& context);

}  // namespace bench
