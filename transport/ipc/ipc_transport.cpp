// SPDX-License-Identifier: MIT
#include "transport/ipc/ipc_transport.hpp"

namespace llep {

void IpcTransport::connect(Communicator& world, SymmetricHeap& heap) {
  if (world.size() > kMaxIpcRanks) {
    throw Error(ExitCode::kUnavailable, "transport ipc: " + std::to_string(world.size()) +
                                            " ranks, but one node has at most " +
                                            std::to_string(kMaxIpcRanks));
  }
  const auto handles = gather_all(world, heap.handle());
  wire_.rank = world.rank();
  collectively(world, [&] {
    for (int peer = 0; peer < world.size(); ++peer) {
      if (peer == world.rank()) {
        wire_.bases[peer] = heap.base();
        continue;
      }
      peers_.push_back(heap.device().open_shared(handles[static_cast<std::size_t>(peer)]));
      wire_.bases[peer] = peers_.back().get();
    }
  });
  heap.close_name();
}

void IpcTransport::disconnect(Communicator& world) {
  peers_.clear();
  world.barrier();
}

}  // namespace llep
