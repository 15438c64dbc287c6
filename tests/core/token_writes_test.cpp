// SPDX-License-Identifier: MIT
#include "ttt/core/token_writes.hpp"

#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace ttt;

namespace {

using Stretches = std::vector<std::pair<Index, Index>>;  // first column and count

Stretches stretches(const TokenWrites& writes, Index slot) {
  Stretches found;
  writes.for_each_stretch(slot, [&](Index column, Index count) { found.emplace_back(column, count); });
  return found;
}

}  // namespace

TEST_CASE("Without a word every token changes everything") {
  const TokenWrites writes;
  for (const std::int64_t position : {0, 1, 7}) CHECK(writes.next_whole(position) == position);
  CHECK(writes.slot_size() == 0);
}

TEST_CASE("The last token of a mini-batch changes everything, the others a row of each table") {
  const TokenWrites writes{.period = 4, .slots = 4, .widths = {3, 1}};
  CHECK(writes.next_whole(0) == 3);
  CHECK(writes.next_whole(3) == 3);
  CHECK(writes.next_whole(4) == 7);
  CHECK(writes.slot(6) == 2);
  CHECK(writes.slot_size() == 4);
  CHECK(stretches(writes, 0) == Stretches{{0, 3}, {12, 1}});
  CHECK(stretches(writes, 2) == Stretches{{6, 3}, {14, 1}});
}

TEST_CASE("The first token of a mini-batch may change everything instead") {
  const TokenWrites writes{.period = 4, .by_first = true};
  CHECK(writes.next_whole(0) == 0);
  CHECK(writes.next_whole(1) == 4);
  CHECK(writes.next_whole(4) == 4);
}

TEST_CASE("A cache of panels changes one slot of a panel, behind the sinks in turn") {
  const TokenWrites writes{.period = 0, .slots = 8, .widths = {5}, .panel = 4, .sinks = 2, .ring = 4};
  CHECK(writes.next_whole(0) == TokenWrites::never);
  std::vector<Index> slots;
  for (std::int64_t position = 0; position < 9; ++position) slots.push_back(writes.slot(position));
  CHECK(slots == std::vector<Index>{0, 1, 6, 7, 4, 5, 6, 7, 4});
  CHECK(writes.wrapping() == 4);
  CHECK(stretches(writes, 1) == Stretches{{1, 5}});
  CHECK(stretches(writes, 6) == Stretches{{22, 5}});
}
