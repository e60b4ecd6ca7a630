// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "common/error.hpp"

namespace llep {

/// Ends a run that hangs: a thread that waits for deadlines. When one passes it prints
///   llep: rank 2: <what> did not end within 12 s; <report>
/// to stderr and calls `abort` with kDeadline. Several deadlines may be armed at once (guards
/// nest).
class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;
  /// What is known about the hang, in one line (fault records). Called by the watchdog's thread
  /// while the guarded code is stuck: it must not block, nor call the watchdog.
  using Report = std::function<std::string()>;
  /// Names one armed deadline.
  using Id = std::uint64_t;

  /// `abort` ends the run (Communicator::abort). Should it return, as in tests, the deadline
  /// counts as disarmed.
  Watchdog(int rank, std::function<void(ExitCode)> abort);
  ~Watchdog();

  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  Id arm(std::chrono::nanoseconds timeout, std::string what, Report report = {});
  /// Once it has returned, the report is not running and will not be called.
  void disarm(Id id);

  class Guard {
   public:
    Guard(Watchdog& watchdog, Id id) : watchdog_(&watchdog), id_(id) {}
    Guard(Guard&& other) noexcept
        : watchdog_(std::exchange(other.watchdog_, nullptr)), id_(other.id_) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (watchdog_ != nullptr) watchdog_->disarm(id_);
    }

   private:
    Watchdog* watchdog_;
    Id id_;
  };

  /// Armed until the guard's scope ends.
  [[nodiscard]] Guard guard(std::chrono::nanoseconds timeout, std::string what,
                            Report report = {}) {
    return Guard(*this, arm(timeout, std::move(what), std::move(report)));
  }

 private:
  struct Watch {
    Clock::time_point deadline;
    std::chrono::nanoseconds timeout;
    std::string what;
    Report report;
  };

  void run();
  void bark(const Watch& watch) const;

  const int rank_;
  const std::function<void(ExitCode)> abort_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Id, Watch> watches_;
  Id next_id_ = 0;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace llep
