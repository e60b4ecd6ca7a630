// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <mutex>

#include "tests/softmlx5/completion_queue.hpp"
#include "tests/softmlx5/device_file.hpp"
#include "tests/softmlx5/event_channel.hpp"
#include "tests/softmlx5/fabric.hpp"
#include "tests/softmlx5/memory.hpp"
#include "tests/softmlx5/peer.hpp"
#include "tests/softmlx5/queue_pair.hpp"
#include "tests/softmlx5/table.hpp"

namespace softmlx5 {

/// Everything that this process made of the twin's devices. Its lock is held by verbs calls and by
/// each pass of the progress thread.
class Adapter {
 public:
  Adapter() : services{fabric, peers, regions} {}

  /// Joins the network and starts the progress thread, once. False: impossible.
  bool start();
  void stop();

  /// Open device of this descriptor; null: not one. Needs no lock (preload.cpp says why).
  DeviceFile* find_file(int descriptor);
  /// -1 with errno: impossible.
  int open_file(int device, int flags);
  /// The program closes a descriptor. False: it is not the twin's.
  bool close(int descriptor);

  std::uint32_t qpn_of(std::uint32_t handle) const;
  QueuePair* find_qp(std::uint32_t qpn) const;
  void destroy_qp(std::uint32_t handle);

  /// Verbs calls come first: the progress thread looks at `waiting` between passes.
  class Guard {
   public:
    explicit Guard(Adapter& adapter) : adapter_(adapter) {
      adapter_.waiting.fetch_add(1);
      adapter_.mutex.lock();
      adapter_.waiting.fetch_sub(1);
    }
    ~Guard() { adapter_.mutex.unlock(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Adapter& adapter_;
  };

  std::mutex mutex;
  std::atomic<int> waiting{0};
  EventChannels channels;
  std::array<DeviceFile, 64> files;
  Fabric fabric;
  Peers peers{fabric};
  MemoryRegions regions;
  Services services;
  Table<CompletionQueue> cqs{kMaxCompletionQueues};
  Table<QueuePair> qps{kMaxQueuePairs};
  std::uint32_t num_pds = 0;

 private:
  void drop_objects_of(const DeviceFile& file);
};

/// This process's; never destroyed.
Adapter& adapter();

}  // namespace softmlx5
