// SPDX-License-Identifier: MIT
#include "ttt/core/segment.hpp"

#include <array>

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("a segment continues the one before on the same State, whether it resets it or not") {
  int a = 0, b = 0;
  const std::array<Segment<int>, 4> list{{{5, &a}, {0, &a, true}, {7, &b}, {1, &a}}};
  const std::span<const Segment<int>> segments(list);
  CHECK_FALSE(continues(segments, 0));
  CHECK(continues(segments, 1));
  CHECK_FALSE(continues(segments, 2));
  CHECK_FALSE(continues(segments, 3));
}

TEST_CASE("the rows of a call are those of its segments") {
  int a = 0, b = 0;
  const std::array<Segment<int>, 3> segments{{{5, &a}, {0, &a, true}, {7, &b}}};
  CHECK(total_rows(std::span<const Segment<int>>(segments)) == 12);
  CHECK(total_rows(std::span<const Segment<int>>()) == 0);
  CHECK_FALSE(segments[0].reset);
  CHECK(Segment<int>().state == nullptr);
}
