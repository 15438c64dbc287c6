// SPDX-License-Identifier: MIT
#include "ttt/core/segment_plan.hpp"

#include <array>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace ttt;

namespace {

struct State {
  std::int64_t position = 0;
};

// Two pieces of one stream, a document that begins in it, an empty piece; a sequence that begins; one that goes on.
struct Example {
  State stream{100}, fresh{70}, other{3};
  std::array<Segment<State>, 6> segments{
      {{5, &stream}, {2, &stream}, {4, &stream, true}, {0, &stream}, {7, &fresh, true}, {1, &other}}};
  Arena arena;
  SegmentPlan plan = plan_segments(std::span<const Segment<State>>(segments), arena);
};

}  // namespace

TEST_CASE("a plan tells rows and positions of segments, also where a State goes through several") {
  const Example example;
  struct Expected {
    Index row, length, position;
    bool reset, continues;
  };
  constexpr Expected expected[] = {{0, 5, 100, false, false}, {5, 2, 105, false, true}, {7, 4, 0, true, true},
                                   {11, 0, 4, false, true},   {11, 7, 0, true, false},  {18, 1, 3, false, false}};
  REQUIRE(example.plan.size() == std::size(expected));
  for (std::size_t i = 0; i < example.plan.size(); ++i) {
    INFO("segment " << i);
    const PlannedSegment& segment = example.plan[i];
    CHECK((segment.row == expected[i].row && segment.length == expected[i].length));
    CHECK(segment.position == expected[i].position);
    CHECK((segment.reset == expected[i].reset && segment.continues == expected[i].continues));
    CHECK(segment.end() == expected[i].row + expected[i].length);
  }
  CHECK(example.stream.position == 100);  // a plan changes nothing
}

TEST_CASE("rows of a plan have the positions of their tokens, from any row on") {
  const Example example;
  const std::vector<std::int64_t> positions{100, 101, 102, 103, 104, 105, 106, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 3};
  const Index rows = example.plan.back().end();
  REQUIRE(rows == static_cast<Index>(positions.size()));
  for (Index first = 0; first <= rows; ++first)
    for (Index count = 0; count <= rows - first; ++count) {
      std::vector<std::pair<Index, std::int64_t>> found, expected;
      for_each_position(example.plan, first, count,
                        [&](Index row, std::int64_t position) { found.emplace_back(row, position); });
      for (Index row = first; row < first + count; ++row)
        expected.emplace_back(row, positions[static_cast<std::size_t>(row)]);
      CHECK(found == expected);
    }
  for_each_position({}, 0, 0, [](Index, std::int64_t) { FAIL("nothing has no rows"); });
}

TEST_CASE("segments that share a State are one run") {
  Example example;
  const auto runs = plan_runs(example.plan, example.arena);
  REQUIRE(runs.size() == 3);
  CHECK((runs[0].first == 0 && runs[0].end == 4));
  CHECK((runs[1].first == 4 && runs[1].end == 5));
  CHECK((runs[2].first == 5 && runs[2].end == 6));
  CHECK(plan_runs({}, example.arena).empty());
}
