// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/proxy_wire.hpp"

namespace llep {

/// Whether this MPI says that it takes GPU memory for its messages ("CUDA-aware").
bool mpi_moves_gpu_memory();

/// Proxies that carry rows and signals by MPI messages, one communicator for each proxy. `world` is
/// an MpiCommunicator, posted words lie in host memory, rows in GPU memory only where
/// mpi_moves_gpu_memory.
/// Collective; Error(kUnavailable) on all ranks where MPI does not let several threads call it at
/// once.
ProxyWires make_mpi_wires(Communicator& world, const FarHeap& heap, const ChannelMap& map);

}  // namespace llep
