// SPDX-License-Identifier: MIT
#include "ttt/layers/segment_rounds.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

using namespace ttt;

namespace {

struct AnyState {};
using AnySegment = Segment<AnyState>;

/// What the rounds make of each segment: the tokens of its parts.
std::vector<std::vector<Index>> parts_of(const std::vector<AnySegment>& segments, Index most, Index grain) {
  Arena scratch;
  std::vector<std::vector<Index>> parts(segments.size());
  Index row = 0;
  in_segment_rounds<AnyState>(segments, most, grain, scratch, [&](const SegmentRound<AnyState>& round) {
    CHECK(round.row == row);
    CHECK(round.count == total_rows(round.segments));
    CHECK(round.count - grain < most);
    for (std::size_t i = 0; i < round.segments.size(); ++i) {
      const auto& [length, state, reset] = round.segments[i];
      auto& own = parts[round.first + i];
      Index before = 0;
      for (const Index tokens : own) before += tokens;
      CHECK(round.before(i) == before);
      CHECK(state == segments[round.first + i].state);
      CHECK(reset == (segments[round.first + i].reset && own.empty()));
      own.push_back(length);
    }
    row += round.count;
  });
  CHECK(row == total_rows<AnyState>(segments));
  return parts;
}

}  // namespace

TEST_CASE("rounds are the call in pieces that end where a grain does", "[layers]") {
  constexpr Index grain = 64;
  AnyState a, b;
  for (const Index length : {0, 1, 63, 64, 191, 192, 193, 255, 256, 257, 1000}) {
    INFO("segments of 5 and " << length << " tokens");
    const std::vector<AnySegment> segments{{5, &a, true},   {length, &b, true}, {0, &b, false},
                                           {70, &b, false}, {63, &a, false},    {63, &a, false},
                                           {63, &a, false}, {63, &a, false},    {200, &a, false}};
    const auto parts = parts_of(segments, 192, grain);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      INFO("segment " << i);
      Index tokens = 0;
      for (std::size_t p = 0; p < parts[i].size(); ++p) {
        const bool last = p + 1 == parts[i].size();
        if (!last) CHECK(parts[i][p] % grain == 0);
        if (last && p > 0) CHECK(parts[i][p] >= grain);
        tokens += parts[i][p];
      }
      CHECK_FALSE(parts[i].empty());
      CHECK(tokens == segments[i].length);
    }
  }
}

TEST_CASE("a call that fits is one round, an empty one none", "[layers]") {
  AnyState a;
  const std::vector<AnySegment> segments{{500, &a, true}, {7, &a, false}};
  CHECK(parts_of(segments, std::numeric_limits<Index>::max(), 64) == std::vector<std::vector<Index>>{{500}, {7}});
  CHECK(parts_of({}, 192, 64).empty());
}
