// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ttt/core/state.hpp"

namespace ttt::testing {

/// A State of the shape that a model's has, blocks with a layer's State each, without the model.
template <class Element>
struct NestedState {
  using Scalar = Element;

  struct Block {
    Position position = 0;
    BufferState<Scalar> layer;
    friend bool operator==(const Block&, const Block&) = default;
  };

  Position position = 0;
  std::vector<Block> blocks;

  static NestedState of_sizes(const std::vector<Index>& sizes) {
    NestedState state;
    for (const Index size : sizes) state.blocks.push_back({0, {0, Buffer<Scalar>(size)}});
    return state;
  }
  void visit(StateVisitor<Scalar> visitor) {
    for (std::size_t b = 0; b < blocks.size(); ++b)
      visitor("blocks." + std::to_string(b) + ".layer.values",
              {blocks[b].layer.values.data(), blocks[b].layer.values.size()});
  }
  void wipe() {
    for (auto& block : blocks) block = {Position::none, {Position::none, Buffer<Scalar>(block.layer.values.size())}};
    position = Position::none;
  }
  friend bool operator==(const NestedState&, const NestedState&) = default;
};

}  // namespace ttt::testing
