// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>

#include "options.hpp"

namespace ttt_lm {

/// Adds the commands; what they read goes into `invocation`, which must outlive the parsing. The footer of a command is
/// the examples of its help.
void add_commands(CLI::App& app, Invocation& invocation);

}  // namespace ttt_lm
