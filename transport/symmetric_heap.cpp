// SPDX-License-Identifier: MIT
#include "transport/symmetric_heap.hpp"

namespace llep {

SymmetricHeap::SymmetricHeap(Communicator& world, Device& device, std::uint64_t bytes)
    : device_(device) {
  collectively(world, [&] { memory_ = device.allocate_shared(bytes, handle_); });
}

}  // namespace llep
