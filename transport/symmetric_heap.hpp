// SPDX-License-Identifier: MIT
#pragma once

#include "common/communicator.hpp"
#include "common/exec/device.hpp"

namespace llep {

/// One allocation per rank, of the same size and layout everywhere.
class SymmetricHeap {
 public:
  /// Collective: every rank has its heap, or all throw.
  SymmetricHeap(Communicator& world, Device& device, std::uint64_t bytes);
  ~SymmetricHeap() { close_name(); }
  SymmetricHeap(const SymmetricHeap&) = delete;
  SymmetricHeap& operator=(const SymmetricHeap&) = delete;

  /// Once all ranks have opened it (or failed to), nothing of its name stays behind.
  void close_name();

  std::byte* base() const { return memory_.get(); }
  const SharedMemoryHandle& handle() const { return handle_; }
  Device& device() const { return device_; }

 private:
  Device& device_;
  SharedMemoryHandle handle_;
  bool named_ = true;
  Memory memory_;
};

}  // namespace llep
