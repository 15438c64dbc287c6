// SPDX-License-Identifier: MIT
// One TTT-Linear layer learns to recall: a sequence shows pairs of a key and a value, then asks for the value of each
// key.
#include <iostream>
#include <ttt/core/eigen.hpp>
#include <ttt/layers/ttt_linear.hpp>
#include <ttt/training/adamw.hpp>
#include <ttt/training/clip.hpp>

int main() {
  constexpr int width = 32, half = width / 2, pairs = 8, tokens = 2 * pairs;
  constexpr float answers = pairs * half;  // numbers that are asked for
  ttt::Layer<ttt::TttLinear<float>> layer({.width = width, .heads = 2});
  ttt::training::AdamW<float> optimizer({.weight_decay = 0}, layer.store());
  auto gradients = layer.make_gradients();
  auto state = layer.initial_state();
  decltype(layer)::Record record;  // what the backward needs of a forward
  ttt::Context context;
  ttt::Tokens<float> x(tokens, width), y(tokens, width), d_y(tokens, width);

  float loss = 1.0F / 6;  // what the answer 0 costs
  for (int step = 1; step <= 2000; ++step) {
    x.setRandom();                                                                       // a key and its value …
    x.bottomLeftCorner(pairs, half) = x.topLeftCorner(pairs, half).colwise().reverse();  // … or a key alone
    x.bottomRightCorner(pairs, half).setZero();

    // A sequence from its learned start (reset = true): that is trained, too.
    layer.forward(ttt::view(x), {tokens, &state, true}, ttt::view(y), context, record);

    // The mean of ½ (answer − value)² and its gradient.
    d_y.setZero();
    auto error = d_y.bottomRightCorner(pairs, half);
    error = y.bottomRightCorner(pairs, half) - x.topRightCorner(pairs, half).colwise().reverse();
    loss += 0.01F * (error.squaredNorm() / (2 * answers) - loss);
    error /= answers;

    // Plain SGD needs the clipping: at rate 1 it learns nothing without, at rate 3 it diverges in five steps.
    gradients.arena().clear();
    layer.backward(record, ttt::view(d_y), {}, gradients.views(), context);
    ttt::training::clip_gradients(optimizer.groups(), gradients.arena(), 1.0, context);
    optimizer.step(layer.store().arena(), gradients.arena(), 3e-3, context);
    if (step % 250 == 0) std::cout << "step " << step << ": loss " << loss << "\n";
  }
  return loss < 0.1F ? 0 : 1;
}
