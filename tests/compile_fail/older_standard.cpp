// SPDX-License-Identifier: MIT
// flags: -std=c++17
// expect: ttt needs C++20: compile with -std=c++20 or newer
#include "ttt/ttt.hpp"
