// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tests/softmlx5/ring.hpp"

namespace softmlx5 {

/// Processes that can use the twin at once, under one user.
inline constexpr int kMaxSlots = 32;

/// The network: shared memory with a pair of rings for each ordered pair of processes. Every
/// process has a slot. It is its owner's who holds a lock on one byte of the file: claimed
/// atomically, and released by the kernel when the process dies, however it does.
class Fabric {
 public:
  /// Claims a slot. False (and one line): impossible.
  bool join();
  void leave();

  int slot() const { return slot_; }
  std::uint32_t generation() const;
  /// Whether a process has, or had, the slot.
  bool in_use(int slot) const;
  int num_in_use() const;
  /// Whether its process lives.
  bool alive(int slot) const;
  /// Really allocates the rings shared with `slot`: a small /dev/shm is an error, not a crash.
  bool prepare(int slot) const;

  /// This process uses a GPU, by its UUID.
  void publish_gpu(const std::array<std::uint64_t, 2>& uuid);
  /// Whether another process does too.
  bool shares_gpu(const std::array<std::uint64_t, 2>& uuid) const;

  Ring requests(int from, int to) const { return ring(from, to, true); }
  Ring responses(int from, int to) const { return ring(from, to, false); }

 private:
  struct Slot {
    std::atomic<std::uint32_t> in_use;
    std::atomic<std::uint32_t> generation;
    std::array<std::atomic<std::uint64_t>, 2> gpu;  // the last one opened; 0: none
  };
  struct Controls {
    RingControl requests;
    RingControl responses;
  };
  /// A new file is all zeros: no slot in use, all rings empty.
  struct Header {
    std::array<Slot, kMaxSlots> slots;
    std::array<std::array<Controls, kMaxSlots>, kMaxSlots> controls;  // [from][to]
  };
  Ring ring(int from, int to, bool request) const;
  bool open_file();
  bool claim_slot();
  void drop_predecessors_mail();

  int file_ = -1;
  std::byte* memory_ = nullptr;
  Header* header_ = nullptr;
  int slot_ = -1;
};

}  // namespace softmlx5
