// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "bench/result.hpp"
#include "common/communicator.hpp"
#include "common/exec/device.hpp"
#include "common/exec/fault.hpp"
#include "common/watchdog.hpp"
#include "transport/transport.hpp"

namespace llep {

/// What a rank says after work that waits for peers.
struct WorkReport {
  FaultRecord fault;
  bool failed = false;  // an Error on this rank, to be agreed upon
  bool transport_failed = false;
  int stop_signal = 0;  // 0: nobody asked the rank to stop
};

/// Collective: adds what ended transports and the waits that failed to `errors`. kInternal: a
/// transport ended; kDeadline: a wait failed; kOk: neither. reports: [num_ranks].
/// Throws kStopped everywhere if all is well, but some rank was told to stop.
ExitCode gather_failures(Communicator& world, const Transport& transport,
                         const std::vector<WorkReport>& reports, double timeout_ms,
                         std::vector<ErrorRecord>& errors);

/// Until its scope ends, a step in which ranks wait for each other: for its waits to fail one after
/// the other there is time enough, then the watchdog tells what this rank knows and ends the run.
[[nodiscard]] Watchdog::Guard guard_waits(Watchdog& watchdog, Device& device, double timeout_ms,
                                          std::string what);
/// The same of a step in which ranks work on the host before they meet, which may take minutes.
[[nodiscard]] Watchdog::Guard guard_host_work(Watchdog& watchdog, Device& device,
                                              double timeout_ms, std::string what);

}  // namespace llep
