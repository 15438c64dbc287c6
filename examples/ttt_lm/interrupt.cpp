// SPDX-License-Identifier: MIT
#include "interrupt.hpp"

#include <csignal>

namespace ttt_lm {

namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

void handle(int) { flag.store(true); }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

bool was_interrupted() { return flag.load(); }

const std::atomic<bool>& interrupt_flag() { return flag; }

}  // namespace ttt_lm
