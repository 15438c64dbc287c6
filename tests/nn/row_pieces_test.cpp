// SPDX-License-Identifier: MIT
#include "ttt/nn/row_pieces.hpp"

#include <utility>
#include <vector>

#include "nn/blocks.hpp"

using namespace ttt;

namespace {

/// The pieces of so many rows, each of which must have a Frame of its own.
std::vector<std::pair<Index, Index>> pieces_of(Index rows, Context& context) {
  std::vector<std::pair<Index, Index>> pieces;
  const float* memory = nullptr;
  nn::in_pieces(rows, context, [&](Index first, Index count) {
    pieces.emplace_back(first, count);
    const float* const here = context.scratch().template allocate<float>(10);
    CHECK((memory == nullptr || memory == here));
    memory = here;
  });
  return pieces;
}

using Pieces = std::vector<std::pair<Index, Index>>;

}  // namespace

TEST_CASE("pieces of rows follow one another, more rows for more workers") {
  Index fewest = 0;
  numbers::on_each_executor([&](Context& context) {
    const Index all = nn::rows_of_piece(context);
    CHECK(all > fewest);
    fewest = all;
    CHECK(pieces_of(0, context).empty());
    CHECK(pieces_of(1, context) == Pieces{{0, 1}});
    CHECK(pieces_of(all, context) == Pieces{{0, all}});
    CHECK(pieces_of(2 * all + 5, context) == Pieces{{0, all}, {all, all}, {2 * all, 5}});
  });
}

TEST_CASE("whoever takes large products gets all rows at once") {
  struct Nobody final : LargeProducts {
    Index smallest() const override { return 1; }
    void multiply(Factor<float>, Factor<float>, MatrixView<float>, bool) override {}
    void multiply(Factor<double>, Factor<double>, MatrixView<double>, bool) override {}
  } nobody;
  Context context;
  context.large_products = &nobody;
  CHECK(pieces_of(5000, context) == Pieces{{0, 5000}});
  CHECK(pieces_of(0, context).empty());
}
