// SPDX-License-Identifier: MIT
#include "ttt/core/state.hpp"

#include <string>

#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt;
using ttt::testing::error_lacks;

namespace {

using LayoutPointer = std::shared_ptr<const StateLayout>;
constexpr Fingerprint maker("layer", {4});

LayoutPointer layer_layout(Index capacity, Fingerprint of = maker) {
  StateLayout layout(of, capacity);
  layout.add(2, {{"fast_weights", StateKind::fast_weights, 3}, {"open_mini_batch", StateKind::open_mini_batch, 2}});
  layout.add(2, {{"cache", StateKind::cache, capacity}});
  return std::make_shared<const StateLayout>(std::move(layout));
}

LayoutPointer model_layout() {
  StateLayout layout(Fingerprint("model", {}));
  layout.add("a.", layer_layout(4));
  layout.add("b.", layer_layout(4));
  return std::make_shared<const StateLayout>(std::move(layout));
}

State<float> numbered(LayoutPointer layout) {
  State<float> state(std::move(layout));
  for (Index i = 0; i < state.values.size(); ++i) state.values[i] = static_cast<float>(i + 1);
  state.position = 3;
  return state;
}

}  // namespace

TEST_CASE("A State is a value, compared by layout, position and bits") {
  const State<float> a = numbered(layer_layout(4));
  State<float> b = a;
  CHECK(a == b);
  b.position = 4;
  CHECK_FALSE(a == b);
  b = a;
  b.values[4] = -0.0F;
  State<float> c = b;
  c.values[4] = 0.0F;
  CHECK_FALSE(b == c);
  b = a;
  b.layout = layer_layout(4);
  CHECK(a == b);
  b.layout = layer_layout(4, Fingerprint("another layer", {4}));
  CHECK_FALSE(a == b);
  CHECK_FALSE(a == State<float>());
  CHECK(State<float>() == State<float>());
}

TEST_CASE("Restoring a State allocates nothing, a moved-from one is nobody's") {
  State<float> state = numbered(layer_layout(4)), saved = state;
  state.values[0] = 7;
  const auto before = testing::allocations();
  state = saved;
  CHECK(testing::allocations() == before);
  CHECK(state == saved);
  const State<float> moved = std::move(state);
  CHECK(moved == saved);
  CHECK_FALSE(state.made_by(maker));
  CHECK(state.position == Position::none);
}

TEST_CASE("A State knows who made it and what it has room for") {
  State<double> state(layer_layout(4));
  CHECK(state.position == Position::none);
  CHECK(state.capacity() == 4);
  CHECK(state.made_by(maker));
  CHECK_FALSE(state.made_by(Fingerprint("layer", {5})));
  CHECK(state.whole());
  state.values = Buffer<double>(3);
  CHECK_FALSE(state.made_by(maker));
  CHECK_FALSE(state.whole());
  CHECK_FALSE(State<double>().made_by(Fingerprint()));
  CHECK(State<double>().capacity() == 0);
}

TEST_CASE("The parts of a State are views of its values") {
  State<float> state = numbered(layer_layout(4));
  const auto& parts = state.layout->parts();
  CHECK(state[parts[1]](1, 0) == 9);
  state[parts[2]](1, 3) = -1;
  CHECK(state.values[17] == -1);
  CHECK(std::as_const(state)[parts[2]](1, 3) == -1);
}

TEST_CASE("Nothing is left of a wiped State") {
  State<float> state = numbered(layer_layout(4));
  state.wipe();
  CHECK(state == State<float>(layer_layout(4)));
}

TEST_CASE("A lent part is in the memory of the whole, a copy of it is not") {
  State<float> whole = numbered(model_layout());
  State<float> part = whole.lend(1);
  CHECK(part.made_by(maker));
  CHECK(part.position == 3);
  CHECK(part[part.layout->parts()[0]](0, 0) == 65);
  State<float> copy = part;
  part.position = 9;
  CHECK(whole.position == 3);
  part = numbered(layer_layout(4));  // of the same size: restored in place
  CHECK(whole.values[64] == 1);
  CHECK(whole.values[63] == 64);
  CHECK(copy.values[0] == 65);
  part.wipe();
  CHECK(whole.values[64 + 17] == 0);
  CHECK(whole.values[63] == 64);
}

TEST_CASE("A State grows part by part, by name") {
  const State<float> state = numbered(layer_layout(4));
  const State<float> larger = grown(state, layer_layout(6));
  CHECK(larger.position == 3);
  CHECK(larger.capacity() == 6);
  for (Index i = 0; i < 10; ++i) CHECK(larger.values[i] == state.values[i]);
  for (Index row = 0; row < 2; ++row)
    for (Index column = 0; column < 6; ++column)
      CHECK(larger[larger.layout->parts()[2]](row, column) ==
            (column < 4 ? state[state.layout->parts()[2]](row, column) : 0));
  CHECK(grown(state, layer_layout(4)) == state);
}

TEST_CASE("A State that does not fit is refused by name") {
  const State<float> state = numbered(layer_layout(4));
  CHECK(error_lacks([&] { grown(state, layer_layout(3)); }, {"capacity", "at least 4", "found 3"}) == "");
  CHECK(error_lacks([&] { grown(state, layer_layout(6, Fingerprint("layer", {5}))); }, {"State to grow", "another"}) ==
        "");
  CHECK(error_lacks([&] { grown(State<float>(), layer_layout(6)); }, {"State to grow", "another"}) == "");
  const auto refused = [&](Index rows, std::string_view name, Index columns, const std::string& part) {
    StateLayout layout(maker, 4);
    layout.add(2, {{"fast_weights", StateKind::fast_weights, 3}});
    layout.add(2, {{"open_mini_batch", StateKind::open_mini_batch, 2}});
    layout.add(rows, {{name, StateKind::cache, columns}});
    return error_lacks([&] { grown(state, std::make_shared<const StateLayout>(layout)); }, {part});
  };
  CHECK(refused(2, "caches", 4, "part 'cache'") == "");
  CHECK(refused(1, "cache", 4, "rows of part 'cache': expected at least 2, found 1") == "");
  CHECK(refused(2, "cache", 3, "columns of part 'cache': expected at least 4, found 3") == "");
  CHECK(refused(0, "cache", 4, "part 'cache'") == "");
}
