// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

namespace ttt_lm {

/// From now on the first SIGINT or SIGTERM only sets a flag, and a second one ends the program at once. SIGHUP, of
/// which one closed terminal sends several, only sets the flag; where it is ignored (nohup) it stays so.
void catch_interrupts();
/// From now on a reader that has gone away is an error of writing, not the end of the program.
void ignore_broken_pipes();
bool was_interrupted();
/// Sets the flag as a signal does.
void interrupt();
/// The flag itself, for ttt::Context::cancellation.
const std::atomic<bool>& interrupt_flag();

}  // namespace ttt_lm
