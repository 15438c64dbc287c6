// SPDX-License-Identifier: MIT
#include "ttt/core/build_info.hpp"

#include <cassert>

#include "support/catch.hpp"

TEST_CASE("build_info tells this translation unit's version, compiler, instruction set and assertions") {
  const ttt::BuildInfo info = ttt::build_info();
  // The build system reads the version from the header by its own means.
  CHECK(info.version == TTT_EXPECTED_VERSION);
  CHECK(info.standard >= 202002L);
  CHECK(info.compiler.find(TTT_EXPECTED_COMPILER_VERSION) != std::string::npos);
#if defined(__AVX2__)
  CHECK(info.instruction_set.find("AVX2") != std::string::npos);
#elif defined(__ARM_NEON)
  CHECK(info.instruction_set.find("NEON") != std::string::npos);
#endif
  CHECK_FALSE(info.instruction_set.empty());
#if defined(__OPTIMIZE__)
  CHECK(info.optimised);
#else
  CHECK_FALSE(info.optimised);
#endif
  bool asserted = false;
  assert(asserted = true);
  CHECK(info.assertions == asserted);
}

TEST_CASE("describe puts everything on one line") {
  ttt::BuildInfo info = ttt::build_info();
  info.fast_math = false;
  info.optimised = true;
  const std::string line = ttt::describe(info);
  CHECK(line.find('\n') == std::string::npos);
  for (const std::string& part : {info.version, info.compiler, info.instruction_set, info.eigen})
    CHECK(line.find(part) != std::string::npos);
  for (const char* const part : {"fast math", "not optimised"}) CHECK(line.find(part) == std::string::npos);
  info.optimised = false;
  CHECK(ttt::describe(info).find("not optimised") != std::string::npos);
  info.fast_math = true;
  CHECK(ttt::describe(info).find("fast math") != std::string::npos);
}
