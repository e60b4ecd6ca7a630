// SPDX-License-Identifier: MIT
#include "transport/ipc/ipc_transport.hpp"

#include <algorithm>

namespace llep {

IpcWire make_ipc_wire(const Communicator& world, const SymmetricHeap& heap,
                      const std::vector<bool>& near) {
  if (world.size() > kMaxRanks) {
    throw Error(ExitCode::kUnavailable, "connecting " + std::to_string(world.size()) +
                                            " ranks: wires hold at most " +
                                            std::to_string(kMaxRanks));
  }
  IpcWire wire;
  wire.rank = world.rank();
  const std::vector<std::byte*> bases = heap.mapped(near);
  std::copy(bases.begin(), bases.end(), wire.bases);
  return wire;
}

void IpcTransport::connect(Communicator& world, SymmetricHeap& heap) {
  num_ranks_ = world.size();
  const std::vector<bool> everybody(static_cast<std::size_t>(num_ranks_), true);
  same_everywhere([&] { wire_ = make_ipc_wire(world, heap, everybody); });
}

TransportReport IpcTransport::report() const {
  TransportReport report{.description = "stores to peers' memory"};
  report.paths.assign(static_cast<std::size_t>(num_ranks_), "ipc");
  report.paths[static_cast<std::size_t>(wire_.rank)] = "self";
  return report;
}

}  // namespace llep
