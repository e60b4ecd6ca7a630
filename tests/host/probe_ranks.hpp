// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "bench/probes.hpp"
#include "common/exec/host_device.hpp"
#include "common/thread_communicator.hpp"
#include "tests/host/loop_wire.hpp"
#include "transport/fifo/fifo_transport.hpp"
#include "transport/ipc/ipc_transport.hpp"

/// Ranks as threads, each with what probes need, over ipc or over a fifo with an in-process wire.
namespace llep::probe_ranks {

#if defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t kTimeoutNs = 60'000'000'000;
#else
inline constexpr std::uint64_t kTimeoutNs = 15'000'000'000;
#endif

/// Messages of one chunk, of several, and of more than there are warps (four).
inline const std::vector<std::uint64_t> kSizes = {0, 16, 128, 272, 1024};
inline constexpr std::uint32_t kChunkBytes = 128;

struct RigSetup {
  int num_ranks = 2;
  bool fifo = false;  // over a LoopWire, every rank a node of its own
  int num_proxies = 1;
  int channels_per_peer = 1;
  std::uint32_t depth = 8;
};

inline std::unique_ptr<Transport> make(const RigSetup& setup, const Communicator& world) {
  if (!setup.fifo) return std::make_unique<IpcTransport>();
  FifoOptions options{.wire = "loop",
                      .make_wires = loop_wires(),
                      .near = std::vector<bool>(static_cast<std::size_t>(world.size())),
                      .num_proxies = setup.num_proxies,
                      .channels_per_peer = setup.channels_per_peer,
                      .depth = setup.depth,
                      .naps = true};
  options.near[static_cast<std::size_t>(world.rank())] = true;
  return std::make_unique<FifoTransport>(options);
}

/// A word that peers or proxies may still write.
inline std::uint64_t load(const std::uint64_t* word) {
  return std::atomic_ref(const_cast<std::uint64_t&>(*word)).load(std::memory_order_acquire);
}

/// One rank with a connected transport.
struct Rank {
  Rank(Communicator& comm, const RigSetup& setup)
      : world(comm),
        device(comm.rank(), {.num_blocks = 2, .warps_per_block = 2}),
        launcher(make_launcher(device)),
        plan(plan_probes({.num_ranks = comm.size(),
                          .num_warps = launcher->num_warps(),
                          .chunk_bytes = kChunkBytes,
                          .sizes = kSizes})),
        heap(comm, device, plan.fields.total_bytes(),
             std::vector<bool>(static_cast<std::size_t>(comm.size()), true)),
        transport(make(setup, comm)) {
    device.faults().timeout_ns = kTimeoutNs;
    nodes.of_rank.resize(static_cast<std::size_t>(comm.size()));
    transport->connect(world, heap);
  }
  ~Rank() {
    try {
      transport->disconnect(world);
    } catch (const Error&) {
    }
  }

  RankContext context() {
    return {.world = world,
            .device = device,
            .launcher = *launcher,
            .transport = *transport,
            .heap = heap,
            .nodes = nodes};
  }
  const ProbeLayout& layout() const { return plan.layout; }
  std::uint64_t word(std::uint64_t words, int source, int warp) const {
    std::uint64_t offset = layout().word(words, source, warp);
    return load(reinterpret_cast<const std::uint64_t*>(heap.base() + offset));
  }

  Communicator& world;
  HostDevice device;
  std::unique_ptr<Launcher> launcher;
  PlannedProbes plan;
  SymmetricHeap heap;
  std::unique_ptr<Transport> transport;
  Nodes nodes;
};

inline void with_ranks(const RigSetup& setup, const std::function<void(Rank&)>& body) {
  run_ranks(setup.num_ranks, [&](Communicator& world) {
    Rank rank(world, setup);
    body(rank);
    world.barrier();
  });
}

/// Of a parameterised test.
inline std::string name_of(const testing::TestParamInfo<RigSetup>& one) {
  const RigSetup& s = one.param;
  return std::to_string(s.num_ranks) + (s.fifo ? "_fifo" : "_ipc") + std::to_string(s.num_proxies) +
         std::to_string(s.channels_per_peer) + "_depth" + std::to_string(s.depth);
}

}  // namespace llep::probe_ranks
