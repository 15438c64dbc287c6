// SPDX-License-Identifier: MIT
#include "ttt/models/block.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/decay_layer.hpp"
#include "support/error_message.hpp"

using namespace ttt;

namespace {

std::vector<std::string> names_of(const std::vector<StackLayer<float>>& layers) {
  auto parameters = Stack<float>(layers).make_parameters();
  std::vector<std::string> names;
  parameters.visit([&](std::string_view name, Tensor<float>& tensor, const ParameterInfo&) {
    names.push_back(std::string(name) + " " + to_string(tensor.shape()));
  });
  return names;
}

AnySequenceLayer<float> layer(Index width = 6) { return AnySequenceLayer(testing::DecayLayer<float>(width)); }

}  // namespace

TEST_CASE("Blocks have the residuals and names of the published models") {
  std::vector<StackLayer<float>> layers;
  append_block(layers, {6, 7, true, 3}, layer());
  append_block(layers, {6, 7}, layer());
  append_block(layers, {6, 0}, layer());
  REQUIRE(layers.size() == 3 + 2 + 1);
  CHECK(names_of(layers) == std::vector<std::string>{"layers.0.conv.norm.weight [6]",
                                                     "layers.0.conv.conv.weight [6 x 1 x 3]",
                                                     "layers.0.conv.conv.bias [6]",
                                                     "layers.0.seq_norm.weight [6]",
                                                     "layers.0.seq_modeling_block.decay [6]",
                                                     "layers.0.seq_modeling_block.shift [6]",
                                                     "layers.0.seq_modeling_block.initial [6]",
                                                     "layers.0.ffn_norm.weight [6]",
                                                     "layers.0.mlp.gate_proj.weight [7 x 6]",
                                                     "layers.0.mlp.up_proj.weight [7 x 6]",
                                                     "layers.0.mlp.down_proj.weight [6 x 7]",
                                                     "layers.1.seq_norm.weight [6]",
                                                     "layers.1.seq_modeling_block.decay [6]",
                                                     "layers.1.seq_modeling_block.shift [6]",
                                                     "layers.1.seq_modeling_block.initial [6]",
                                                     "layers.1.ffn_norm.weight [6]",
                                                     "layers.1.mlp.gate_proj.weight [7 x 6]",
                                                     "layers.1.mlp.up_proj.weight [7 x 6]",
                                                     "layers.1.mlp.down_proj.weight [6 x 7]",
                                                     "layers.2.seq_norm.weight [6]",
                                                     "layers.2.seq_modeling_block.decay [6]",
                                                     "layers.2.seq_modeling_block.shift [6]",
                                                     "layers.2.seq_modeling_block.initial [6]"});
}

TEST_CASE("A block that cannot be is refused by name") {
  const auto message = [](const BlockConfig& config) {
    return testing::error_message([&] {
      std::vector<StackLayer<float>> layers;
      append_block(layers, {6, 7}, layer());
      append_block(layers, config, layer());
    });
  };
  CHECK(message({6, 7}) == "");
  CHECK(message({7, 7}) == "block 1: width of its layer: expected 7, found 6");
  CHECK(message({6, -1}) == "block 1: hidden width of the MLP: expected at least 1, found -1");
  CHECK(message({0, 7}) == "block 1: width: expected at least 1, found 0");
  CHECK(message({6, 7, true, 0}) == "block 1: taps of the convolution: expected at least 1, found 0");
  CHECK(message({6, 7, false, 0}) == "");
}
