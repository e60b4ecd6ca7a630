// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

namespace llep {

/// Which cpus this process, or one thread of it, runs on, for the report.
struct Placement {
  bool bound = false;  // held to `cpuset`, fewer cpus than the node offers
  std::string cpuset;  // "0-3,8"; empty: unknown
  int numa_node = -1;  // the only one `cpuset` belongs to; -1: several, or unknown
  std::string reason;  // who bound it to what, or why it is not bound
};

/// Binds all threads of this process to the cpus nearest to a PCI device ("0000:3b:00.0", as
/// cudaDeviceGetPCIBusId gives it), within those it may use already. Ranks with devices in one
/// place share all of its cpus: host threads are few, and the scheduler spreads them better than
/// a partition would. A narrower binding by mpirun is kept.
///
/// Never throws for what the machine does not tell: `bound` is false then and `reason` says why.
Placement bind_near_pci(const std::optional<std::string>& pci_bus_id, int local_rank,
                        int local_size);

/// Binds the calling thread alone, in the same way; `who` it is begins `reason`.
Placement bind_thread_near_pci(const std::string& pci_bus_id, const std::string& who);

/// This machine's processor and how many hardware threads it has: "AMD EPYC 9654 96-Core Processor,
/// 192 threads"; its architecture where it does not tell the model; empty: unknown.
std::string processor();

/// What holds without our doing (--bind none).
Placement current_placement();

}  // namespace llep
