// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/result.hpp"
#include "bench/verification.hpp"
#include "common/communicator.hpp"
#include "common/exec/fault.hpp"

/// What went wrong on some rank, as results tell it.
namespace llep {

/// "rank 0: dispatch: row: waited 500 ms for rank 1, expert 3, token 0: expected epoch 6, seen 4".
std::string describe(const FaultRecord& fault, double timeout_ms);

ErrorRecord error_of(const FaultRecord& fault, double timeout_ms);

/// Collective: the mismatches of all ranks, in rank order; complete on every rank.
std::vector<ErrorRecord> gather_errors(Communicator& world, const std::string& phase,
                                       const std::optional<Mismatch>& mine);

}  // namespace llep
