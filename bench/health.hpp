// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/context.hpp"
#include "common/exec/gpu_health.hpp"
#include "common/mpi_session.hpp"

/// Whether the GPUs were in a state to be measured.
namespace llep {

/// [num_ranks]; a rank's is missing where NVML is. Empty on the host executor.
using RanksHealth = std::vector<std::optional<GpuHealth>>;

/// Collective. Null on the host executor.
std::unique_ptr<GpuMonitor> watch_gpu(Communicator& world, const NodeInfo& node,
                                      const Device& device, const ContextInfo& context);

/// Collective: `context.nvidia_driver`. Nothing without a monitor or NVML.
std::optional<std::string> nvidia_drivers(Communicator& world, const GpuMonitor* monitor);

/// `context.gpu_health`; null where no rank's is known.
nlohmann::ordered_json to_json(const RanksHealth& ranks);

/// What a reader of the results must know: "rank 3: its GPU was throttled (sw_power_cap)".
std::vector<std::string> warnings_of(const RanksHealth& ranks);

}  // namespace llep
