// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "options.hpp"
#include "usage.hpp"

namespace ttt_lm {

/// Exit codes of the program: 0 only when it did its job, usage_error for every UsageError, failure for everything that
/// only the files, the model or the machine tell.
enum ExitCode { success = 0, failure = 1, usage_error = 2, interrupted = 130 };

/// Reads the command line into `call`. With a value there is nothing left to do: help or version was printed to stdout,
/// and it is the exit code. Throws UsageError in one line; `call.command` is then the command, if it had come to one.
std::optional<ExitCode> parse_command_line(int count, const char* const* arguments, Invocation& call);

}  // namespace ttt_lm
