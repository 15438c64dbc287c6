// SPDX-License-Identifier: MIT
/// @file
/// What layers give on an Executor. Compiled once for all tests of interop/.
#pragma once

#include <vector>

#include "ttt/core/executor.hpp"

namespace ttt::testing {

/// Checks that outputs, states and gradients of TTT-Linear and attention have the bits of one thread with each of the
/// executors and with pools of two and three.
void check_layer_bits(const std::vector<Executor*>& executors);

}  // namespace ttt::testing
