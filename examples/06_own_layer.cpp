// SPDX-License-Identifier: MIT
// A layer of one's own learns when to forget: a flag says "remember this", and until the next one that is the answer.
#include "06_own_layer.hpp"

#include <iostream>
#include <ttt/core/eigen.hpp>
#include <ttt/layers/layer.hpp>
#include <ttt/training/adamw.hpp>

int main() {
  constexpr int width = 5, shown = 4, tokens = 64;  // four numbers and the flag, 1 or -1
  ttt::Layer layer(GatedAverage<float>{width});
  ttt::training::AdamW<float> optimizer({.weight_decay = 0}, layer.store());
  auto gradients = layer.make_gradients();
  auto state = layer.initial_state();
  decltype(layer)::Record record;
  ttt::Context context;
  ttt::Tokens<float> x(tokens, width), y(tokens, width), d_y = ttt::Tokens<float>::Zero(tokens, width);
  float loss = 1.0F / 3;  // what the answer 0 costs
  for (int step = 1; step <= 1000; ++step) {
    x.setRandom();
    x.col(shown) = (x.col(shown).array() > 0.75F).cast<float>() * 2 - 1;  // one token in eight, and the first
    x(0, shown) = 1;
    layer.forward(ttt::view(x), {tokens, &state, true}, ttt::view(y), context, record);
    for (int t = 0, from = 0; t < tokens; ++t) {
      if (x(t, shown) == 1) from = t;
      d_y.row(t).head(shown) = y.row(t).head(shown) - x.row(from).head(shown);
    }
    loss += 0.02F * (d_y.squaredNorm() / (tokens * shown) - loss);
    gradients.arena().clear();
    layer.backward(record, ttt::view(d_y), {}, gradients.views(), context);
    optimizer.step(layer.store().arena(), gradients.arena(), 0.02, context);
    if (step % 200 == 0) std::cout << "step " << step << ": mean square error " << loss << "\n";
  }
  return loss < 0.05F ? 0 : 1;
}
