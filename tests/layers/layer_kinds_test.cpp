// SPDX-License-Identifier: MIT
#include "ttt/layers/layer_kinds.hpp"

#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "support/tiny_config.hpp"

using namespace ttt;

TEST_CASE("every kind has a name of its own, and says what it is") {
  std::set<std::string_view> names, summaries;
  for (const auto name : LayerKinds::names) {
    names.insert(name);
    summaries.insert(LayerKinds::with(name, [](auto kind) { return kind.summary; }));
  }
  CHECK(names.size() == LayerKinds::names.size());
  CHECK(summaries.size() == LayerKinds::names.size());
  CHECK_FALSE(summaries.contains(""));
}

TEST_CASE("the tensors that bound what making a layer takes are those of the layer") {
  for (const auto name : LayerKinds::names) {
    CAPTURE(name);
    const LayerDescription layer = testing::tiny_layer(name);
    for (const BoundingTensor& bound : layer.bounds(12)) {
      bool found = false;
      auto parameters = layer.make<float>(12).make_parameters();
      parameters.visit([&](std::string_view each, Tensor<float>& tensor, const ParameterInfo&) {
        found |= each == bound.name && tensor.shape() == bound.shape;
      });
      CAPTURE(bound.name);
      CHECK(found);
    }
  }
}
