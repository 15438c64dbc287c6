// SPDX-License-Identifier: MIT
#include "ttt/core/finite.hpp"

#include <limits>
#include <span>
#include <vector>

#include "support/catch.hpp"

TEMPLATE_TEST_CASE("Finite is what is neither NaN nor infinite", "", float, double) {
  using Limits = std::numeric_limits<TestType>;
  for (const TestType value : {TestType(0), TestType(-1.5), Limits::max(), Limits::lowest(), Limits::denorm_min()})
    CHECK(ttt::is_finite(value));
  for (const TestType value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()})
    CHECK_FALSE(ttt::is_finite(value));
}

TEST_CASE("The first value that is not finite is found, also after a conversion") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> good{1, -2, 0}, bad{1, 3e38F, infinity, -infinity};
  const std::span<const float> all_good(good), some_bad(bad);
  CHECK(ttt::find_not_finite(all_good) == all_good.end());
  CHECK(ttt::find_not_finite(some_bad) - some_bad.begin() == 2);
  CHECK(ttt::find_not_finite(some_bad, [](float value) { return 2 * value; }) - some_bad.begin() == 1);
}
