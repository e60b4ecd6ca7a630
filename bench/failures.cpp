// SPDX-License-Identifier: MIT
#include "bench/failures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "bench/case_errors.hpp"

namespace llep {

namespace {

/// One error for each rank that has something to say.
void add_lines(Communicator& world, const std::string& mine, std::vector<ErrorRecord>& errors) {
  const auto lines = gather_strings(world, mine);
  for (std::size_t rank = 0; rank < lines.size(); ++rank) {
    if (lines[rank].empty()) continue;
    errors.push_back({.phase = "transport",
                      .rank = static_cast<int>(rank),
                      .message = fmt::format("rank {}: {}", rank, lines[rank])});
  }
}

/// `rest`: for all that is no wait of an op.
Watchdog::Guard guard(Watchdog& watchdog, Device& device, double timeout_ms,
                      std::chrono::seconds rest, std::string what) {
  const std::chrono::duration<double, std::milli> timeout(timeout_ms);
  return watchdog.guard(std::chrono::duration_cast<std::chrono::nanoseconds>(3 * timeout) + rest,
                        std::move(what), [&device, timeout_ms] {
                          const FaultRecord fault = read_fault(device.faults().record);
                          return fault.phase == WaitPhase::kNone
                                     ? "none of its own waits has failed: what the others wait for "
                                       "may be stuck here"
                                     : describe(fault, timeout_ms);
                        });
}

/// The work that these reports are of has ended well.
void stop_if_asked(const std::vector<WorkReport>& reports) {
  const auto asked = std::find_if(reports.begin(), reports.end(),
                                  [](const WorkReport& one) { return one.stop_signal != 0; });
  if (asked == reports.end()) return;
  Error error(ExitCode::kStopped,
              fmt::format("stopped by SIG{} to rank {}; what had been measured is kept",
                          ::sigabbrev_np(asked->stop_signal), asked - reports.begin()));
  error.set_agreed();
  throw error;
}

}  // namespace

Watchdog::Guard guard_waits(Watchdog& watchdog, Device& device, double timeout_ms,
                            std::string what) {
  return guard(watchdog, device, timeout_ms, std::chrono::seconds(5), std::move(what));
}

Watchdog::Guard guard_host_work(Watchdog& watchdog, Device& device, double timeout_ms,
                                std::string what) {
  return guard(watchdog, device, timeout_ms, std::chrono::minutes(2), std::move(what));
}

ExitCode gather_failures(Communicator& world, const Transport& transport,
                         const std::vector<WorkReport>& reports, double timeout_ms,
                         std::vector<ErrorRecord>& errors) {
  const bool dead = std::any_of(reports.begin(), reports.end(),
                                [](const WorkReport& one) { return one.transport_failed; });
  // What ended transports comes first: it explains the waits that failed.
  if (dead) add_lines(world, transport.failure().value_or(""), errors);
  ExitCode code = dead ? ExitCode::kInternal : ExitCode::kOk;
  for (const WorkReport& report : reports) {
    if (report.fault.phase == WaitPhase::kNone) continue;
    errors.push_back(error_of(report.fault, timeout_ms));
    if (!dead) code = ExitCode::kDeadline;
  }
  if (code == ExitCode::kDeadline) add_lines(world, transport.state(), errors);
  if (code == ExitCode::kOk) stop_if_asked(reports);
  return code;
}

}  // namespace llep
