// SPDX-License-Identifier: MIT
#include "ttt/core/state_layout.hpp"

#include "support/catch.hpp"

using namespace ttt;

namespace {

constexpr Fingerprint maker("layer", {4});

StateLayout layer_layout(Index capacity) {
  StateLayout layout(maker, capacity);
  layout.add(2, {{"fast_weights", StateKind::fast_weights, 3}, {"open_mini_batch", StateKind::open_mini_batch, 2}});
  layout.add(capacity, {{"cache", StateKind::cache, 1}});
  return layout;
}

}  // namespace

TEST_CASE("Parts that lie beside one another share a stride and follow the parts before") {
  const StateLayout layout = layer_layout(7);
  CHECK(layout.size() == 2 * 5 + 7);
  CHECK(layout.capacity() == 7);
  CHECK(layout.maker() == maker);
  REQUIRE(layout.parts().size() == 3);
  CHECK(layout.parts()[0] == StatePart{"fast_weights", StateKind::fast_weights, 0, 2, 3, 5});
  CHECK(layout.parts()[1] == StatePart{"open_mini_batch", StateKind::open_mini_batch, 3, 2, 2, 5});
  CHECK(layout.parts()[2] == StatePart{"cache", StateKind::cache, 10, 7, 1, 1});
}

TEST_CASE("What has no values is no part") {
  CHECK(layer_layout(0).parts().size() == 2);
  StateLayout layout(maker);
  layout.add(3, {{"none", StateKind::tail, 0}});
  CHECK(layout.size() == 0);
  CHECK(layout.parts().empty());
  CHECK(layout.capacity() == StateLayout::unlimited);
}

TEST_CASE("A layout of layouts has their parts behind prefixes, and the least of their capacities") {
  StateLayout model(Fingerprint("model", {}));
  for (const Index capacity : {9, 7})
    model.add("layers." + std::to_string(model.inner().size()) + ".",
              std::make_shared<const StateLayout>(layer_layout(capacity)));
  CHECK(model.capacity() == 7);
  REQUIRE(model.parts().size() == 6);
  CHECK(model.parts()[2].name == "layers.0.cache");
  CHECK(model.parts()[3].name == "layers.1.fast_weights");
  REQUIRE(model.inner().size() == 2);
  CHECK(model.inner()[1].layout->maker() == maker);
  // Where a buffer of any scalar could begin.
  CHECK(model.inner()[1].offset == 64);
  CHECK(model.parts()[4].offset == 64 + 3);
  CHECK(model.size() == 64 + 17);
}

TEST_CASE("Layouts are equal when maker, capacity and parts are") {
  CHECK(layer_layout(7) == layer_layout(7));
  CHECK_FALSE(layer_layout(7) == layer_layout(8));
  StateLayout other(Fingerprint("another layer", {4}), 7), renamed(maker, 7);
  for (StateLayout* const layout : {&other, &renamed})
    layout->add(2, {{"fast_weights", StateKind::fast_weights, 3}, {"open_mini_batch", StateKind::open_mini_batch, 2}});
  other.add(7, {{"cache", StateKind::cache, 1}});
  renamed.add(7, {{"keys", StateKind::cache, 1}});
  CHECK_FALSE(layer_layout(7) == other);
  CHECK_FALSE(layer_layout(7) == renamed);
}
