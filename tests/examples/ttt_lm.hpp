// SPDX-License-Identifier: MIT
/// @file
/// ttt-lm as the program under test, and how it refuses.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "examples/program.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"

namespace ttt::testing {

using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

#ifdef TTT_EMULATOR
inline const std::string emulator = TTT_EMULATOR;
#else
inline const std::string emulator;
#endif
inline const std::string program = TTT_LM_PROGRAM;

inline Outcome run(const Arguments& arguments) { return Program(emulator, program, arguments).wait(); }

inline bool is_one_line(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n') == 1 && text.back() == '\n';
}

/// The program refuses with one line on stderr that holds all the parts, says only `output` and changes no file.
inline void check_refused(const TemporaryFolder& folder, const Arguments& arguments, int exit_code,
                          const Arguments& parts, const std::string& output = "") {
  const auto before = folder.contents();
  const Outcome outcome = run(arguments);
  CAPTURE(arguments, outcome.errors);
  CHECK(outcome.exit_code == exit_code);
  CHECK(outcome.output == output);
  CHECK(outcome.errors.starts_with("ttt-lm: "));
  CHECK(is_one_line(outcome.errors));
  for (const auto& part : parts) {
    CAPTURE(part);
    CHECK(contains(outcome.errors, part));
  }
  CHECK(folder.contents() == before);
}

}  // namespace ttt::testing
