// SPDX-License-Identifier: MIT
#pragma once

#include "bench/case_run.hpp"
#include "bench/options.hpp"
#include "bench/result.hpp"
#include "bench/sweep.hpp"
#include "common/watchdog.hpp"

namespace llep {

/// Runs one case on all ranks: warm-up, timed iterations, checks. Collective; complete on every
/// rank. Wrong data and passed deadlines are in the result and in `code`; anything else throws.
struct CaseOutcome {
  CaseResult result;
  ExitCode code = ExitCode::kOk;  // kWrongData or kDeadline: stop, the transport may be dead
};
/// `payload_epoch` counts the fills of a run, so that no row of one case passes for another's.
CaseOutcome run_case(const RankContext& context, Watchdog& watchdog, const Case& one,
                     const RunOptions& options, std::uint64_t& payload_epoch);

}  // namespace llep
