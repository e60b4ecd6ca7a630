// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "bench/context.hpp"
#include "bench/health.hpp"
#include "bench/options.hpp"
#include "common/exec/device.hpp"
#include "common/mpi_session.hpp"
#include "common/placement.hpp"
#include "kernels/launcher.hpp"

namespace llep {

/// GPUs that this process can use; 0 in a build without CUDA.
int visible_gpus();

/// The ranks' devices, agreed upon.
struct ChosenDevice {
  std::unique_ptr<Device> device;
  bool shared_gpus = false;
  Placement placement;
  std::optional<std::string> uuid;
};

/// Collective. Every rank gets a device of the same executor, or all throw: kUsage for more ranks
/// than GPUs without --share-gpus, kUnavailable for a missing GPU.
ChosenDevice choose_device(MpiCommunicator& world, const NodeInfo& node,
                           const RunOptions& options);

/// Collective: throws kUsage unless all ranks run the same version with the same options.
void agree_on_options(Communicator& world, const RunOptions& options);

/// Collective; complete on every rank.
ContextInfo gather_context(Communicator& world, const NodeInfo& node, const ChosenDevice& chosen);

/// What a command measures with.
struct Session {
  ChosenDevice chosen;
  std::unique_ptr<Launcher> launcher;
  ContextInfo context;
  std::unique_ptr<GpuMonitor> gpu_monitor;  // null on the host executor
};
/// Collective: a device that has run a kernel, with the deadline of the options. Throws like
/// choose_device, and kUnavailable where the binary has no code for a GPU.
Session start_session(MpiCommunicator& world, const NodeInfo& node, const RunOptions& options);

}  // namespace llep
