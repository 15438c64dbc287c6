// SPDX-License-Identifier: MIT
// A TTT-Linear layer in someone's own Eigen code: once over a whole sequence, then token by token as it arrives.
#include <Eigen/Core>
#include <iostream>
#include <ttt/core/eigen.hpp>
#include <ttt/layers/ttt_linear.hpp>

int main() {
  constexpr int tokens = 100, width = 64;
  const ttt::Tokens<float> x = ttt::Tokens<float>::Random(tokens, width);  // row-major: a token is a row
  ttt::Tokens<float> whole(tokens, width), streamed(tokens, width);

  const ttt::Layer<ttt::TttLinear<float>> layer({.width = width, .heads = 4});
  ttt::Context context;  // scratch memory; give it a ttt::ThreadPool to use more than one core

  auto state = layer.initial_state();
  layer.forward(ttt::view(x), state, ttt::view(whole), context);

  // A State is all that the layer remembers of a sequence, and it does not grow.
  state = layer.initial_state();
  for (int t = 0; t < tokens; ++t) {
    auto token = streamed.row(t);
    layer.forward(ttt::view(x.row(t)), state, ttt::view(token), context);
  }

  const float difference = (whole - streamed).cwiseAbs().maxCoeff() / whole.cwiseAbs().maxCoeff();
  std::cout << "one call against " << tokens << " calls: largest difference " << difference << "\n"
            << "state after " << state.position << " tokens: " << ttt::state_bytes(layer.definition()) << " bytes\n";
  return difference < 1e-5F ? 0 : 1;
}
