// SPDX-License-Identifier: MIT
// A program to hand out: compiled for every x86-64 processor (see CMakeLists.txt: no -march), fast on each, because it
// carries the kernels for several instruction sets and takes the best when it starts.
#include <chrono>
#include <iostream>
#include <ttt/core/eigen.hpp>
#include <ttt/dispatch/kernels.hpp>
#include <ttt/layers/ttt_linear.hpp>

int main() {
  constexpr int tokens = 512, width = 256;
  const ttt::Tokens<float> x = ttt::Tokens<float>::Random(tokens, width);
  const ttt::Layer<ttt::TttLinear<float>> layer({.width = width, .heads = 4});

  ttt::Context context;
  const auto run = [&](ttt::Tokens<float>& y) {
    auto state = layer.initial_state();
    const auto start = std::chrono::steady_clock::now();
    layer.forward(ttt::view(x), state, ttt::view(y), context);
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / tokens;
  };

  ttt::Tokens<float> own(tokens, width), chosen(tokens, width);
  std::cout << "the program's own kernels: " << run(own) << " us per token\n";
  context.kernels = ttt::best_kernels();  // null on a processor that has none of them: the program's own
  std::cout << (context.kernels ? context.kernels->instruction_set : "no better ones") << ": " << run(chosen)
            << " us per token\n";
  const float difference = (own - chosen).cwiseAbs().maxCoeff() / own.cwiseAbs().maxCoeff();
  std::cout << "largest difference " << difference << "\n";
  return difference < 1e-5F ? 0 : 1;
}
