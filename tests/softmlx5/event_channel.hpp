// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace softmlx5 {

/// File descriptors on which a program waits for events: one end of a socket pair each, so that
/// poll(), read() and fcntl() need no help.
class EventChannels {
 public:
  /// The program's end; -1 with errno: none to be had.
  int open();
  /// What the program closes; false: not one of these. Takes no lock, see preload.cpp.
  bool has(int descriptor) const { return peer_of(descriptor) >= 0; }
  void close(int descriptor);

  /// False: the program does not read, or is gone.
  bool send(int descriptor, const void* event, std::size_t bytes) const;
  /// Takes back, unread, the completion events of the queue `user_handle`. Returns how many.
  std::uint32_t withdraw(int descriptor, std::uint64_t user_handle) const;

 private:
  struct Channel {
    std::atomic<int> program{-1};
    std::atomic<int> peer{-1};
  };
  int peer_of(int descriptor) const;

  std::array<Channel, 256> channels_;
};

}  // namespace softmlx5
