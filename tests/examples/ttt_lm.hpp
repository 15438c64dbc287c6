// SPDX-License-Identifier: MIT
/// @file
/// ttt-lm as the program under test, and what its tests ask of texts.
#pragma once

#include <string>
#include <vector>

#include "examples/program.hpp"

namespace ttt_test {

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

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace ttt_test
