// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "options.hpp"

namespace ttt_lm {

/// Exit codes of the program: 0 only when it did its job.
enum ExitCode { success = 0, failure = 1, usage_error = 2, interrupted = 130 };

/// Reads the command line. Without a value there is nothing left to do (help or version was printed to stdout, or one
/// line about what is wrong to stderr) and `exit_code` says how it went.
std::optional<Invocation> parse_command_line(int count, const char* const* arguments, int& exit_code);

}  // namespace ttt_lm
