// SPDX-License-Identifier: MIT
#include "ttt/core/denormals.hpp"

#include <cfenv>
#include <thread>

#include "support/catch.hpp"
#include "support/denormals.hpp"

using namespace ttt;
using testing::flushes_denormals;

TEST_CASE("denormal numbers are flushed in a scope, which nests and restores") {
  REQUIRE_FALSE(flushes_denormals());
  {
    const FlushDenormals outer;
    CHECK(flushes_denormals() == FlushDenormals::is_supported);
    {
      const FlushDenormals inner;
      CHECK(flushes_denormals() == FlushDenormals::is_supported);
    }
    CHECK(flushes_denormals() == FlushDenormals::is_supported);
  }
  CHECK_FALSE(flushes_denormals());
}

TEST_CASE("a scope ends with an exception") {
  try {
    const FlushDenormals flush;
    throw 1;
  } catch (int) {
  }
  CHECK_FALSE(flushes_denormals());
}

TEST_CASE("flushing leaves the rounding and the flags of what was computed") {
  const int rounding = std::fegetround();
  std::fesetround(FE_UPWARD);
  {
    const FlushDenormals flush;
    CHECK(std::fegetround() == FE_UPWARD);
    std::feraiseexcept(FE_DIVBYZERO);
  }
  CHECK(std::fegetround() == FE_UPWARD);
  CHECK(std::fetestexcept(FE_DIVBYZERO) != 0);
  std::feclearexcept(FE_ALL_EXCEPT);
  std::fesetround(rounding);
}

TEST_CASE("flushing is the calling thread's own") {
  bool elsewhere = true;
  std::thread other([&] {
    const FlushDenormals flush;
    elsewhere = flushes_denormals();
  });
  other.join();
  CHECK(elsewhere == FlushDenormals::is_supported);
  CHECK_FALSE(flushes_denormals());
}
