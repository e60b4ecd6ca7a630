// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "bench/result.hpp"
#include "common/communicator.hpp"
#include "common/exec/fault.hpp"
#include "transport/transport.hpp"

namespace llep {

/// What a rank says after work that waits for peers.
struct WorkReport {
  FaultRecord fault;
  bool failed = false;  // an Error on this rank, to be agreed upon
  bool transport_failed = false;
};

/// Collective: adds what ended transports and the waits that failed to `errors`. kInternal: a
/// transport ended; kDeadline: a wait failed; kOk: neither. reports: [num_ranks].
ExitCode gather_failures(Communicator& world, const Transport& transport,
                         const std::vector<WorkReport>& reports, double timeout_ms,
                         std::vector<ErrorRecord>& errors);

}  // namespace llep
