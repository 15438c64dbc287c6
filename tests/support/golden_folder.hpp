// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <filesystem>

namespace ttt::golden {

/// Where the golden files are: tests/golden, or what the environment variable TTT_GOLDEN_DIR names when a test runs.
inline std::filesystem::path folder() {
  const char* other = std::getenv("TTT_GOLDEN_DIR");
  return other && *other ? other : TTT_GOLDEN_DIR;
}

}  // namespace ttt::golden
