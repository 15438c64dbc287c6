// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>

namespace ttt_lm {

/// The command line is wrong by itself, whatever is in the files that it names; the exit code is that of wrong usage.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws UsageError("<option>: expected <expected>, found <found>").
[[noreturn]] inline void throw_usage(const std::string& option, const std::string& expected, const std::string& found) {
  throw UsageError(option + ": expected " + expected + ", found " + found);
}

}  // namespace ttt_lm
