// SPDX-License-Identifier: MIT
#include "ttt/core/lent_states.hpp"

#include <array>

#include "support/catch.hpp"

using namespace ttt;

namespace {

State<float> make_state() {
  StateLayout inner(Fingerprint("layer", {}));
  inner.add(1, {{"sum", StateKind::fast_weights, 2}});
  const auto shared = std::make_shared<const StateLayout>(inner);
  StateLayout layout(Fingerprint("model", {}));
  layout.add("0.", shared);
  layout.add("1.", shared);
  State<float> state(std::make_shared<const StateLayout>(layout));
  state.position = 5;
  return state;
}

}  // namespace

TEST_CASE("Segments of a part have the lengths of the whole and memory in its States") {
  State<float> a = make_state(), b = make_state();
  b.position = 9;
  const std::array segments{Segment<State<float>>{2, &a}, Segment<State<float>>{3, &a, true},
                            Segment<State<float>>{1, &b}};
  Arena arena;
  const auto parts = lend<State<float>>(segments, 1, arena);
  REQUIRE(parts.size() == 3);
  CHECK(parts[0].state->values.data() == a.values.data() + 64);
  CHECK(parts[1].state == parts[0].state);
  CHECK(parts[1].length == 3);
  CHECK(parts[1].reset);
  CHECK(parts[2].state->values.data() == b.values.data() + 64);
  CHECK(parts[2].state->position == 9);
  advance_positions(parts);
  CHECK(parts[0].state->position == 3);
  CHECK(a.position == 5);
  advance_positions<State<float>>(segments);
  CHECK(a.position == 3);
  CHECK(b.position == 10);
}

TEST_CASE("Gradients of a part: null stays null, equal ones stay equal") {
  State<float> a = make_state(), b = make_state();
  const std::array<State<float>*, 5> d_states{&a, nullptr, &a, nullptr, &b};
  Arena arena;
  const auto parts = lend<State<float>>(d_states, 0, arena);
  REQUIRE(parts.size() == 5);
  CHECK(parts[0]->values.data() == a.values.data());
  CHECK(parts[1] == nullptr);
  CHECK(parts[2] == parts[0]);
  CHECK(parts[4]->values.data() == b.values.data());
  CHECK(lend<State<float>>(std::span<State<float>* const>(), 0, arena).empty());
}
