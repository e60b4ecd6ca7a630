// SPDX-License-Identifier: MIT
#include "transport/symmetric_heap.hpp"

namespace llep {

SymmetricHeap::SymmetricHeap(Communicator& world, Device& device, std::uint64_t bytes)
    : device_(device) {
  try {
    collectively(world, [&] { memory_ = device.allocate_shared(bytes, handle_); });
  } catch (...) {
    close_name();  // another rank failed: no destructor will do it
    throw;
  }
}

void SymmetricHeap::close_name() {
  if (!named_) return;
  device_.close_shared_name(handle_);
  named_ = false;
}

}  // namespace llep
