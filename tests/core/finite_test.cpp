// SPDX-License-Identifier: MIT
#include "ttt/core/finite.hpp"

#include "support/catch.hpp"

TEMPLATE_TEST_CASE("Finite is what is neither NaN nor infinite", "", float, double) {
  using Limits = std::numeric_limits<TestType>;
  for (const TestType value : {TestType(0), TestType(-1.5), Limits::max(), Limits::lowest(), Limits::denorm_min()})
    CHECK(ttt::is_finite(value));
  for (const TestType value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()})
    CHECK_FALSE(ttt::is_finite(value));
}
