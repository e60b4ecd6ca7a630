// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <vector>

#include "bench/case_floor.hpp"
#include "bench/connection.hpp"
#include "kernels/probe_layout.hpp"

/// Where a run has its floors from: `--floors FILE`, or `--floors measure` in the run itself.
namespace llep {

/// Collective; those of a file, on rank 0. Connects each transport among the cases to see that they
/// are of this hardware. Throws Error(kUsage) on all ranks.
std::optional<Floors> floors_of_file(const Run& run, const std::vector<Case>& cases,
                                     Connection& connection, const ContextInfo& context);

/// Collective. What probes need of the symmetric heap; nothing where none are to be measured.
std::optional<PlannedProbes> plan_run_floors(Communicator& world, const Launcher& launcher,
                                             const RunOptions& options);

struct MeasuredFloors {
  Floors floors = Floors("measured");
  std::vector<ErrorRecord> errors = {};
  ExitCode code = ExitCode::kOk;  // other: stop, the transport may be dead
};
/// Collective, complete on every rank: few samples of each transport and kind of signal among the
/// cases. Transports that cannot be had are left out, their cases will say why.
MeasuredFloors measure_floors(const Run& run, const std::vector<Case>& cases,
                              Connection& connection, const ProbeLayout& layout);

}  // namespace llep
