// SPDX-License-Identifier: MIT
#include "ttt/core/segment.hpp"

#include <array>

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("the rows of a call are those of its segments") {
  int a = 0, b = 0;
  const std::array<Segment<int>, 3> segments{{{5, &a}, {0, &a, true}, {7, &b}}};
  CHECK(total_rows(std::span<const Segment<int>>(segments)) == 12);
  CHECK(total_rows(std::span<const Segment<int>>()) == 0);
  CHECK_FALSE(segments[0].reset);
  CHECK(Segment<int>().state == nullptr);
}
