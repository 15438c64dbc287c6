// SPDX-License-Identifier: MIT
// expect: SequenceLayer
// expect: layer.initial_state(parameters, capacity)
#include "ttt/layers/layer.hpp"
#include "ttt/layers/ttt_linear.hpp"

struct Mine : ttt::TttLinear<float> {
#if defined(TTT_BROKEN)
  void initial_state() const;
#endif
};

using Owner = ttt::Layer<Mine>;
