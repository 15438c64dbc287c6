// SPDX-License-Identifier: MIT
// Someone else's parallel program: threads of its own call one layer, each with a Context and a State, while Eigen
// multiplies in parallel around them. Every thread gets the bits of a serial program.
#include <cstdio>
#include <cstring>
#include <vector>

#include "ttt/core/eigen.hpp"
#include "ttt/interop/openmp.hpp"
#include "ttt/layers/ttt_linear.hpp"

#ifndef EIGEN_HAS_OPENMP
#error "Eigen does not use OpenMP, so this program tests nothing"
#endif

namespace {

using Matrix = ttt::Tokens<float>;
using Layer = ttt::Layer<ttt::TttLinear<float>>;

constexpr ttt::Index tokens = 100, width = 64;

Matrix outputs(const Layer& layer, const Matrix& x, ttt::Context& context) {
  auto state = layer.initial_state();
  Matrix y(tokens + 1, width);
  auto prompt = y.topRows(tokens);
  layer.forward(ttt::view(x), state, ttt::view(prompt), context);
  auto next = y.bottomRows(1);
  layer.forward(ttt::view(x.topRows(1)), state, ttt::view(next), context);  // one token, decoded
  return y;
}

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0;
}

}  // namespace

int main() {
  const Layer layer({.width = width, .heads = 4});
  const Matrix x = Matrix::Random(tokens, width);
  ttt::Context serial;
  const Matrix expected = outputs(layer, x, serial);

  ttt::OpenMpExecutor openmp(3);
  ttt::ThreadPool pool(2);
  int wrong = 0;
  for (ttt::Executor* executor : std::initializer_list<ttt::Executor*>{&openmp, &pool}) {
    ttt::Context context(*executor);
    wrong += !same_bits(outputs(layer, x, context), expected);
  }

  int threads = 0;
#pragma omp parallel num_threads(4) reduction(+ : wrong, threads)
  for (int round = 0; round < 3; ++round) {
    threads += round == 0;
    ttt::Context own, own_openmp(openmp), own_pool(pool);  // a Context for each thread, executors for all
    for (ttt::Context* context : {&own, &own_openmp, &own_pool})
      wrong += !same_bits(outputs(layer, x, *context), expected);
  }

  // A product of Eigen outside of any region, parallel by itself, then the layer again on the same threads.
  const Matrix weights = Matrix::Random(width, width);
  const Matrix product = x * weights;
  ttt::Context context(openmp);
  wrong += !same_bits(outputs(layer, x, context), expected);
  std::printf("%d threads, %d wrong, %g\n", threads, wrong, static_cast<double>(product(0, 0)));
  return wrong == 0 && threads > 1 ? 0 : 1;
}
