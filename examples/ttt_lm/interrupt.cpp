// SPDX-License-Identifier: MIT
#include "interrupt.hpp"

#include <csignal>

namespace ttt_lm {

namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

void handle(int) { flag.store(true); }

void set_handler(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void catch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM}) set_handler(signal, handle, static_cast<int>(SA_RESETHAND));
  if (!is_ignored(SIGHUP)) set_handler(SIGHUP, handle, 0);
}

void ignore_broken_pipes() { set_handler(SIGPIPE, SIG_IGN, 0); }

void interrupt() { flag.store(true); }

bool was_interrupted() { return flag.load(); }

const std::atomic<bool>& interrupt_flag() { return flag; }

}  // namespace ttt_lm
