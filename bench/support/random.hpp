// SPDX-License-Identifier: MIT
/// @file
/// Numbers to measure with: the library's own generator takes seconds for the weights of a whole model.
#pragma once

#include <cmath>
#include <cstdint>

#include "ttt/core/parameters.hpp"
#include "ttt/core/storage.hpp"

namespace bench {

/// Numbers spread evenly over ± `bound` (xorshift, Marsaglia 2003).
class Uniform {
 public:
  explicit Uniform(float bound, std::uint32_t seed = 1) : bound_(bound), bits_(seed) {}
  float operator()() {
    bits_ ^= bits_ << 13;
    bits_ ^= bits_ >> 17;
    bits_ ^= bits_ << 5;
    return bound_ * (static_cast<float>(bits_) * 0x1p-31F - 1);
  }

 private:
  float bound_;
  std::uint32_t bits_;
};

/// With variance 1.
inline ttt::Buffer<float> random_values(ttt::Index count) {
  ttt::Buffer<float> values(count);
  Uniform next(std::sqrt(3.0F));
  for (ttt::Index i = 0; i < count; ++i) values[i] = next();
  return values;
}

/// Each tensor with the mean and variance its initialiser would give it.
template <class Parameters>
void random_parameters(Parameters& parameters) {
  std::uint32_t seed = 0;
  parameters.visit([&](std::string_view, ttt::Tensor<float>& tensor, const ttt::ParameterInfo& info) {
    const double spread = info.draw == ttt::parameter::draw::normal ? info.scale * std::sqrt(3.0) : info.scale;
    Uniform next(static_cast<float>(spread), ++seed);
    for (ttt::Index i = 0; i < tensor.size(); ++i)
      tensor[i] = info.draw == ttt::parameter::draw::constant ? static_cast<float>(info.scale) : next();
  });
}

}  // namespace bench
