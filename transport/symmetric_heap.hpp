// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <vector>

#include "common/communicator.hpp"
#include "common/exec/device.hpp"

namespace llep {

/// One allocation per rank, of the same size and layout everywhere, mapped by the peers near it.
class SymmetricHeap {
 public:
  /// Collective: every rank has its heap, or all throw. near[peer]: whether this rank maps that
  /// peer's heap; that it cannot is the error of who asks for the mapping.
  SymmetricHeap(Communicator& world, Device& device, std::uint64_t bytes,
                const std::vector<bool>& near);

  std::byte* base() const { return memory_.get(); }
  std::uint64_t bytes() const { return handle_.bytes; }
  Device& device() const { return device_; }

  /// The heaps of the ranks `near`, and this rank's own; null: none of them. Throws what kept a rank
  /// from mapping them, the same on all ranks.
  std::vector<std::byte*> mapped(const std::vector<bool>& near) const;

 private:
  void map(Communicator& world, const std::vector<bool>& near);

  Device& device_;
  SharedMemoryHandle handle_;
  Memory memory_;
  int rank_;
  std::vector<Memory> peers_;
  std::vector<std::byte*> bases_;  // [num_ranks]
  std::optional<Error> not_mapped_;
};

}  // namespace llep
