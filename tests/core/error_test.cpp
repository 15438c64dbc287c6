// SPDX-License-Identifier: MIT
#include "ttt/core/error.hpp"

#include "support/catch.hpp"

TEST_CASE("an error names the thing, what was expected and what was found") {
  try {
    ttt::throw_unexpected("--heads", "a divisor of 64", "7");
  } catch (const std::runtime_error& error) {
    CHECK(std::string(error.what()) == "--heads: expected a divisor of 64, found 7");
    CHECK(dynamic_cast<const ttt::Error*>(&error) != nullptr);
    return;
  }
  FAIL("nothing was thrown");
}
