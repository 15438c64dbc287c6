// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

namespace ttt_lm {

/// From now on the first SIGINT or SIGTERM only sets a flag; a second one ends the program at once.
void catch_interrupts();
bool was_interrupted();
/// The flag itself, for ttt::Context::cancellation.
const std::atomic<bool>& interrupt_flag();

}  // namespace ttt_lm
