// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/proxy_wire.hpp"

namespace llep {

/// Proxies that carry rows and signals by MPI messages, one communicator for each proxy. `world` is
/// an MpiCommunicator, the heap lies in host memory. Collective; Error(kUnavailable) on all ranks
/// where MPI does not let several threads call it at once.
ProxyWires make_mpi_wires(Communicator& world, const FarHeap& heap, const ChannelMap& map);

}  // namespace llep
