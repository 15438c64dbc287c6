// SPDX-License-Identifier: MIT
#include "ttt/nn/row_pieces.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "nn/blocks.hpp"

using namespace ttt;

namespace {

using Ranges = std::vector<std::pair<Index, Index>>;

/// The rounds of so many rows, each of which must have a Frame of its own.
Ranges rounds_of(Index rows, Context& context) {
  Ranges rounds;
  const float* memory = nullptr;
  nn::in_rounds(rows, context, [&](Index first, Index count) {
    rounds.emplace_back(first, count);
    const float* const here = context.scratch().template allocate<float>(10);
    CHECK((memory == nullptr || memory == here));
    memory = here;
  });
  return rounds;
}

/// The pieces of so many rows in order, and whether each had one worker or all.
struct Pieces {
  Ranges ranges;
  bool alone = true;
};
Pieces pieces_of(Index rows, Context& context) {
  Pieces pieces;
  std::mutex mutex;
  nn::in_pieces(rows, context, [&](Index first, Index count, Context& own) {
    const std::lock_guard lock(mutex);
    pieces.ranges.emplace_back(first, count);
    pieces.alone = pieces.alone && own.workers() == 1;
  });
  std::sort(pieces.ranges.begin(), pieces.ranges.end());
  return pieces;
}

Index rows_in(const Ranges& ranges) {
  Index next = 0;
  for (const auto& [first, count] : ranges) {
    CHECK(first == next);
    CHECK(count > 0);
    next += count;
  }
  return next;
}

const std::vector<Index> row_counts{0, 1, 63, 127, 192, 193, 256, 384, 500, 1024, 1536, 1537, 4096};

}  // namespace

TEST_CASE("rounds follow one another, equally long, cut where sums over rows are") {
  numbers::on_each_executor([&](Context& context) {
    const Index most = nn::rows_of_round(context);
    CHECK(most % nn::detail::rows_per_range == 0);
    for (const Index rows : row_counts) {
      const Ranges rounds = rounds_of(rows, context);
      CHECK(rows_in(rounds) == rows);
      CHECK(static_cast<Index>(rounds.size()) == (rows + most - 1) / most);
      for (std::size_t i = 0; i + 1 < rounds.size(); ++i) {
        CHECK(rounds[i].second <= most);
        CHECK(rounds[i].second % nn::detail::rows_per_range == 0);
        CHECK(rounds[i].second == rounds.front().second);
      }
    }
  });
}

TEST_CASE("pieces cover all rows once, as many for each worker, few enough for the cache") {
  numbers::on_each_executor([&](Context& context) {
    for (const Index rows : row_counts) {
      const Pieces pieces = pieces_of(rows, context);
      const auto count = static_cast<Index>(pieces.ranges.size());
      CHECK(rows_in(pieces.ranges) == rows);
      if (count <= 1) continue;
      CHECK(pieces.alone);
      for (const auto& [first, size] : pieces.ranges) CHECK(size <= nn::detail::rows_per_piece);
      const Index rounds = (count + context.workers() - 1) / context.workers();
      CHECK(rounds * pieces.ranges.front().second <= rows / context.workers() + rounds * 16);
    }
    CHECK(pieces_of(4096, context).ranges.size() > 20);
  });
}

TEST_CASE("rows that are too few to share out go to all workers in one piece, with a Frame") {
  ThreadPool pool(3);
  Context context(pool);
  for (const Index rows : {1, 100, 383}) {
    const Pieces pieces = pieces_of(rows, context);
    CHECK(pieces.ranges == Ranges{{0, rows}});
    CHECK_FALSE(pieces.alone);
  }
  CHECK(pieces_of(384, context).ranges.size() == 3);
  const float* const top = context.scratch().allocate<float>(0);
  nn::in_pieces(5, context, [](Index, Index, Context& own) { own.scratch().allocate<float>(10); });
  CHECK(context.scratch().allocate<float>(0) == top);
}

TEST_CASE("whoever takes large products gets all rows at once") {
  struct Nobody final : LargeProducts {
    Index smallest() const override { return 1; }
    void multiply(Factor<float>, Factor<float>, MatrixView<float>, bool) override {}
    void multiply(Factor<double>, Factor<double>, MatrixView<double>, bool) override {}
  } nobody;
  numbers::on_each_executor([&](Context& context) {
    context.large_products = &nobody;
    CHECK(rounds_of(5000, context) == Ranges{{0, 5000}});
    CHECK(rounds_of(0, context).empty());
    CHECK(pieces_of(5000, context).ranges == Ranges{{0, 5000}});
    CHECK(pieces_of(0, context).ranges.empty());
  });
}
