// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <vector>

#include "bench/case_floor.hpp"
#include "bench/connection.hpp"
#include "kernels/probe_layout.hpp"

/// `llep run --floors measure`: what floors of results are made of, in the run itself.
namespace llep {

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
