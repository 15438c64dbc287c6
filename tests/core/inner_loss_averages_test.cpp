// SPDX-License-Identifier: MIT
#include "ttt/core/inner_loss_averages.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/random_matrix.hpp"
#include "ttt/layers/ttt_linear.hpp"

using namespace ttt;

TEST_CASE("Inner losses are averaged over tokens, by block and by ranges of positions that double") {
  InnerLossAverages averages(10);
  // block, segment, head, position, tokens, three losses
  averages.inner_loss({1, 0, 0, 0, 10, 1, 2, 3});
  averages.inner_loss({1, 0, 1, 9, 30, 5, 6, 7});
  averages.inner_loss({1, 3, 0, 10, 5, 8, 8, 8});
  averages.inner_loss({1, 3, 0, 39, 5, 4, 4, 4});
  averages.inner_loss({0, 0, 0, 40, 1, 0.5, 0.25, 0.125});

  const auto rows = averages.rows();
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].block == 0);
  CHECK(rows[0].first == 40);
  CHECK(rows[0].end == 80);
  CHECK(rows[0].before_update == 0.25);
  CHECK(rows[1].block == 1);
  CHECK(rows[1].first == 0);
  CHECK(rows[1].end == 10);
  CHECK(rows[1].at_initial == 4);
  CHECK(rows[1].before_update == 5);
  CHECK(rows[1].after_update == 6);
  CHECK(rows[2].first == 10);
  CHECK(rows[2].end == 20);
  CHECK(rows[3].first == 20);
  CHECK(rows[3].end == 40);

  const auto blocks = averages.blocks();
  REQUIRE(blocks.size() == 2);
  CHECK(blocks[1].block == 1);
  CHECK(blocks[1].first == 0);
  CHECK(blocks[1].end == 40);
  CHECK(blocks[1].at_initial == (160 + 40 + 20) / 50.0);

  CHECK(averages.describe() ==
        "block        positions     with W0      before       after\n"
        "    0              all         0.5        0.25       0.125\n"
        "    0           40..79         0.5        0.25       0.125\n"
        "    1              all         4.4         5.2           6\n"
        "    1             0..9           4           5           6\n"
        "    1           10..19           8           8           8\n"
        "    1           20..39           4           4           4\n");
  averages.clear();
  CHECK(averages.rows().empty());
  CHECK(averages.describe() == "block        positions     with W0      before       after\n");
}

TEST_CASE("Ranges of positions have a length") {
  CHECK(testing::error_message([] { InnerLossAverages(0); }) ==
        "first range of positions of InnerLossAverages: expected at least 1, found 0");
}

TEST_CASE("A layer that reads the same few tokens again and again is seen to learn them") {
  const Layer<TttLinear<double>> layer({.width = 16, .heads = 2, .mini_batch = 4}, 1);
  const auto few = testing::random_matrix<double>(4, 16, 2);
  testing::Matrix<double> x(256, 16), y(256, 16);
  for (Index row = 0; row < 256; ++row) copy(few.rows(row % 4, 1), x.rows(row, 1));
  InnerLossAverages averages;
  Context context;
  context.statistics = &averages;
  auto state = layer.initial_state();
  layer.forward(x.view(), state, y.view(), context);
  const auto rows = averages.rows();
  REQUIRE(rows.size() == 3);
  for (const auto& row : rows) {
    CHECK(row.after_update < row.before_update);
    CHECK(row.at_initial == Approx(rows[0].at_initial).epsilon(1e-12));
  }
  CHECK(rows[1].before_update < rows[0].before_update);
  CHECK(rows[2].before_update < rows[1].before_update);
  CHECK(rows[2].before_update < rows[2].at_initial);
}
