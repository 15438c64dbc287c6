// SPDX-License-Identifier: MIT
#include "ttt/core/state.hpp"

#include <string>

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("a state in one buffer is a value, compared by position and bits") {
  BufferState<float> a{3, Buffer<float>(5)};
  a.values[2] = 1.5F;
  BufferState<float> b = a;
  CHECK(a == b);
  b.position = 4;
  CHECK_FALSE(a == b);
  b = a;
  b.values[4] = -0.0F;
  CHECK_FALSE(a == b);
}

TEST_CASE("a state shows its values to a visitor and can be wiped") {
  BufferState<double> state{9, Buffer<double>(3)};
  Index calls = 0;
  state.visit([&](std::string_view name, VectorView<double> values) {
    CHECK(std::string(name) == "values");
    CHECK(values.size() == 3);
    values[1] = 7;
    ++calls;
  });
  CHECK(calls == 1);
  CHECK(state.values[1] == 7);
  state.wipe();
  CHECK(state == BufferState<double>{Position::none, Buffer<double>(3)});
}
