// SPDX-License-Identifier: MIT
// flags: -fno-exceptions
// expect: ttt reports what is wrong by exceptions: compile without -fno-exceptions
#include "ttt/ttt.hpp"
