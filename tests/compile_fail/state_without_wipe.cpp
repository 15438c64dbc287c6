// SPDX-License-Identifier: MIT
// expect: state.wipe()
#include "ttt/layers/sequence_layer.hpp"

struct State {
  using Scalar = float;
  std::int64_t position = 0;
  void visit(ttt::StateVisitor<float>) {}
#if !defined(TTT_BROKEN)
  void wipe() { position = 0; }
#endif
  friend bool operator==(const State&, const State&) = default;
};

template <ttt::SequenceState Value>
void wipe(Value& value) {
  value.wipe();
}

void wipe_one(State& state) { wipe(state); }
