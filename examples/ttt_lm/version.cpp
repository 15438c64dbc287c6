// SPDX-License-Identifier: MIT
#include "version.hpp"

#include <CLI/Version.hpp>
#include <nlohmann/json.hpp>
#include <xsimd/xsimd.hpp>

#include "ttt/core/build_info.hpp"

namespace ttt_lm {

std::string version_text() {
  const auto dotted = [](int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
  };
  return "ttt-lm, " + ttt::describe(ttt::build_info()) + ", xsimd " +
         dotted(XSIMD_VERSION_MAJOR, XSIMD_VERSION_MINOR, XSIMD_VERSION_PATCH) + ", CLI11 " + CLI11_VERSION +
         ", nlohmann-json " +
         dotted(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH);
}

}  // namespace ttt_lm
