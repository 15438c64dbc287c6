// SPDX-License-Identifier: MIT
#include "ttt/kernels/elementary.hpp"

#include "support/kernels.hpp"

namespace {

using namespace ttt;

/// y = function(x) for every element. `function` has to be inlined as it is in kernels: a call halves the rate.
template <class Function>
void elementary(benchmark::State& state, Function function) {
  bench::RowOperands operands(state);
  const float* const x = operands.matrix().data();
  float* const y = operands.matrix().data();
  operands.measure(2 * operands.size(), [&] {
    simd::for_each_pack<float, simd::Native>(
        operands.size(), [&]<class P>(P, Index i) TTT_INLINE_LAMBDA { function(P::load(x + i)).store(y + i); });
  });
}

BENCHMARK_CAPTURE(elementary, exp, [](auto x) TTT_INLINE_LAMBDA { return kernels::exp(x); }) -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, weight_exp, [](auto x) TTT_INLINE_LAMBDA { return kernels::weight_exp(x); })
    -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, sigmoid, [](auto x) TTT_INLINE_LAMBDA { return kernels::sigmoid(x); })
    -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, tanh, [](auto x) TTT_INLINE_LAMBDA { return kernels::tanh(x); })
    -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, softplus, [](auto x) TTT_INLINE_LAMBDA { return kernels::softplus(x); })
    -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, silu, [](auto x) TTT_INLINE_LAMBDA { return kernels::silu(x); })
    -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, silu_derivative, [](auto x) TTT_INLINE_LAMBDA { return kernels::Silu(x).derivative(); })
    -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, gelu, [](auto x) TTT_INLINE_LAMBDA { return kernels::gelu(x); })
    -> Apply(bench::row_sizes);
BENCHMARK_CAPTURE(elementary, gelu_second_derivative, [](auto x) TTT_INLINE_LAMBDA {
  return kernels::Gelu(x).second_derivative();
}) -> Apply(bench::row_sizes);

}  // namespace
