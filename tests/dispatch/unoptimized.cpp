// SPDX-License-Identifier: MIT
// Uses the same standard templates and the same kernels as the units in this program do, unoptimised on both sides.
#include <algorithm>
#include <vector>

#include "ttt/dispatch/kernels.hpp"
#include "ttt/nn/rms_norm.hpp"

int main() {
  std::vector<float> weight(128, 1.0F), x(256, 2.0F), y(256);
  ttt::Tensor<float> tensor(ttt::Shape{128});
  tensor.bind(weight.data());
  ttt::Context context;
  const auto run = [&] {
    std::fill(y.begin(), y.end(), 0.0F);
    ttt::nn::rms_norm_forward(tensor, {x.data(), 2, 128}, 1e-6, {y.data(), 2, 128}, context);
    return std::all_of(y.begin(), y.end(), [](float value) { return value > 0.999F && value < 1.001F; });
  };
  if (!run()) return 1;
  context.kernels = ttt::best_kernels();
  return run() ? 0 : 2;
}
