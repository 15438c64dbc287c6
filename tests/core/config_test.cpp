// SPDX-License-Identifier: MIT
#include <stdexcept>
#include <string>

#define TTT_ASSERT_HANDLER(condition, reason) throw std::logic_error(std::string(condition) + ": " + (reason))
#include "ttt/core/config.hpp"

#include <type_traits>

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("an extent is a size, whether fixed or held") {
  constexpr Extent<64> fixed;
  const Extent<dynamic> held(17);
  static_assert(fixed == 64);
  static_assert(std::is_empty_v<Extent<64>>);
  CHECK(held == 17);
  CHECK(Extent<5>(5) == 5);
}

TEST_CASE("a broken contract reaches the handler of the user, with its reason") {
  CHECK_THROWS_AS(Extent<5>(6), std::logic_error);
  try {
    TTT_ASSERT(1 + 1 == 3, "arithmetic holds");
    FAIL("the handler was not called");
  } catch (const std::logic_error& error) {
    CHECK(std::string(error.what()) == "1 + 1 == 3: arithmetic holds");
  }
  CHECK_NOTHROW(TTT_ASSERT(1 + 1 == 2, "arithmetic holds"));
}
