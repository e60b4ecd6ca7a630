// SPDX-License-Identifier: MIT
#include "common/watchdog.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>

#include <fmt/format.h>

namespace llep {
namespace {

std::string text_of(const Watchdog::Report& report) {
  if (!report) return "nothing more is known";
  try {
    return report();
  } catch (const std::exception& error) {
    return fmt::format("its report failed: {}", error.what());
  }
}

}  // namespace

Watchdog::Watchdog(int rank, std::function<void(ExitCode)> abort)
    : rank_(rank), abort_(std::move(abort)), thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Watchdog::Id Watchdog::arm(std::chrono::nanoseconds timeout, std::string what, Report report) {
  const std::lock_guard lock(mutex_);
  const Id id = next_id_++;
  watches_.emplace(id, Watch{.deadline = Clock::now() + timeout,
                             .timeout = timeout,
                             .what = std::move(what),
                             .report = std::move(report)});
  changed_.notify_all();
  return id;
}

void Watchdog::disarm(Id id) {
  const std::lock_guard lock(mutex_);
  watches_.erase(id);  // the thread wakes at the old deadline, finds it gone and sleeps on
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto next = std::min_element(
        watches_.begin(), watches_.end(),
        [](const auto& a, const auto& b) { return a.second.deadline < b.second.deadline; });
    if (next == watches_.end()) {
      changed_.wait(lock);
    } else if (const auto deadline = next->second.deadline; Clock::now() < deadline) {
      changed_.wait_until(lock, deadline);
    } else {
      // Under the lock: what the report reads lives at least until disarm() gets it.
      bark(next->second);
      watches_.erase(next);
    }
  }
}

void Watchdog::bark(const Watch& watch) const {
  const std::string line =
      fmt::format("llep: rank {}: {} did not end within {:g} s; {}\n", rank_, watch.what,
                  std::chrono::duration<double>(watch.timeout).count(), text_of(watch.report));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  abort_(ExitCode::kDeadline);
}

}  // namespace llep
