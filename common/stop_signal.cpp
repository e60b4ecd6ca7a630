// SPDX-License-Identifier: MIT
#include "common/stop_signal.hpp"

#include <atomic>
#include <csignal>

namespace llep {

namespace {

std::atomic<int> remembered = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler writes it");

}  // namespace

void remember_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { remembered.store(signal, std::memory_order_relaxed); };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

int stop_signal() { return remembered.load(std::memory_order_relaxed); }

}  // namespace llep
