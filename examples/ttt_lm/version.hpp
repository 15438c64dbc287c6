// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace ttt_lm {

/// Version, compiler, instruction set and dependencies, in one line.
std::string version_text();

}  // namespace ttt_lm
