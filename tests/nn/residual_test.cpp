// SPDX-License-Identifier: MIT
#include "ttt/nn/residual.hpp"

#include "support/catch.hpp"
#include "support/random_matrix.hpp"

using namespace ttt;

TEMPLATE_TEST_CASE("add is y = x + scale · y, for any width, stride and number of threads", "", float, double) {
  for (const Index width : {1, 3, 8, 21})
    for (Index workers = 1; workers <= 3; ++workers) {
      ThreadPool pool(workers);
      Context context(pool);
      const Index rows = 150, first = 2;
      const auto x = testing::random_matrix<TestType>(rows, width + 5, 1),
                 start = testing::random_matrix<TestType>(rows, width + 5, 2);
      auto y = start;
      nn::add(x.view().columns(first, width), y.view().columns(first, width), context);
      Index wrong = 0;
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < width + 5; ++c) {
          const bool inside = c >= first && c < first + width;
          wrong += y(r, c) != (inside ? start(r, c) + x(r, c) : start(r, c));
        }
      CHECK(wrong == 0);
      nn::add(y.view(), y.view(), context);
      CHECK(y(7, first) == 2 * (start(7, first) + x(7, first)));
      y = start;
      nn::add(x.view(), y.view(), context, 0.25);
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < width + 5; ++c) wrong += y(r, c) != start(r, c) / 4 + x(r, c);
      CHECK(wrong == 0);
    }
}
