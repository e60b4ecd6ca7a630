// SPDX-License-Identifier: MIT
#pragma once

#include <infiniband/mlx5dv.h>

#include <optional>
#include <string>
#include <vector>

#include "common/exec/device.hpp"
#include "transport/ibgda/send_queue.hpp"
#include "transport/verbs/mesh.hpp"

namespace llep {

/// An error completion as it lies in a queue.
struct QueueError {
  int peer = -1;
  int channel = 0;
  std::uint32_t qpn = 0;
  ibv_wc completion = {};  // status and vendor's syndrome
  std::uint32_t opcode = 0;
};

/// The queue pairs of a mesh, each with a completion queue of its own, as a device's kernels use
/// them. The mesh outlives it; nobody else posts or polls.
class MappedQueues {
 public:
  /// Throws Error(kUnavailable) where queues or registers cannot be mapped. `depth` is a power of
  /// two and at most what the queue pairs were made for.
  MappedQueues(Device& device, const VerbsMesh& mesh, int depth);

  /// [num_ranks * channels_per_peer] in device memory; no state: no queue.
  const SendQueue* table() const { return reinterpret_cast<const SendQueue*>(table_memory_.get()); }
  int num_queues() const { return static_cast<int>(queues_.size()); }
  /// Queues that have no register of their own.
  int num_sharing() const;

  /// No kernel runs.
  QueueState state(int peer, int channel) const;
  /// Whether the adapter has completed anything to this peer.
  bool has_completed(int peer) const;
  /// The first error that lies in a completion queue, one that tells of a cause before those of
  /// entries flushed after it. Costs no device access.
  std::optional<QueueError> error() const;

  /// Fault injection, while no kernel runs: doorbells reach no adapter any more.
  void deafen();

 private:
  struct Queue {
    int peer = 0;
    int channel = 0;
    mlx5dv_qp qp = {};
    mlx5dv_cq cq = {};
    std::uint32_t qpn = 0;
  };
  std::size_t index(const Queue& queue) const;
  Queue open(const VerbsMesh& mesh, int peer, int channel) const;
  void map(const VerbsMesh& mesh);
  SendQueue map(const Queue& queue, std::size_t number);
  void share_registers();
  std::byte* keep(Memory memory);

  Device& device_;
  std::uint32_t depth_log2_;
  int channels_per_peer_;
  std::vector<Queue> queues_;
  std::vector<Memory> mappings_;
  Memory states_;  // [num_queues] QueueState
  Memory marks_;   // [num_queues][depth]
  Memory table_memory_;
  std::vector<SendQueue> table_;
};

}  // namespace llep
