// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "bench/case_run.hpp"
#include "common/exec/host_device.hpp"
#include "common/thread_communicator.hpp"
#include "transport/fifo/fifo_transport.hpp"
#include "transport/ipc/ipc_transport.hpp"

/// Ranks as threads of one process, each with all that a rank of `llep run` has on the host
/// executor, so that sanitizers see every rank's warps at once.
namespace llep {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

/// A fifo over a LoopWire, for the peers of other nodes.
struct LoopFifo {
  int num_proxies = 1;
  int channels_per_peer = 1;
  int ranks_per_node = 1;
  std::uint32_t depth = 8;  // full now and then
};

struct RanksSetup {
  EpAxes axes;
  HostDeviceOptions device = {};
  /// Rows for ranks that are not near travel through a fifo and a LoopWire.
  std::optional<LoopFifo> fifo = {};
  /// Of one rank; none: make_routing's.
  std::function<RankRouting(int rank)> routing = {};
  std::uint64_t timeout_ns = kThreadSanitizer ? 60'000'000'000 : 15'000'000'000;  // of every wait
};

/// One rank: device, heap, transport and a case.
class ThreadRank {
 public:
  ThreadRank(Communicator& world, const RanksSetup& setup);

  Communicator& world() { return world_; }
  int rank() const { return world_.rank(); }
  HostDevice& device() { return device_; }
  Launcher& launcher() { return *launcher_; }
  SymmetricHeap& heap() { return heap_; }
  const PlannedLayout& plan() const { return plan_; }
  CaseRun& run() { return run_; }
  Transport& transport() { return *transport_; }
  const FaultRecord& fault() { return *device_.faults().record; }

  /// Rows of `epoch` into the inputs, poison into the outputs; nothing is said to other ranks.
  void refill(std::uint64_t epoch);
  /// Fused: one launch. Split: two.
  void dispatch(Phases phases);
  void combine(Phases phases);
  /// Adds a test failure for the first wrong output, or for a wait that failed.
  void expect_dispatched(std::uint64_t epoch);
  void expect_combined(std::uint64_t epoch);

  /// Runs `ops`, 'd' for a dispatch and 'c' for a combine, each with rows of its own that are
  /// judged after it. Ranks meet only through the ops: no collective, no barrier.
  void chain(const std::string& ops, Phases phases, std::uint64_t first_epoch = 0);

 private:
  void expect(const std::optional<Mismatch>& wrong);

  Communicator& world_;
  HostDevice device_;
  std::unique_ptr<Launcher> launcher_;
  PlannedLayout plan_;
  SymmetricHeap heap_;
  std::unique_ptr<Transport> transport_;
  Nodes nodes_;
  CaseRun run_;
};

/// Runs `body` on every rank of setup.axes.shape. All have ended when the first is taken down.
void with_ranks(const RanksSetup& setup, const std::function<void(ThreadRank&)>& body);

/// "R3/E6/K2/H256/T5 fp8 selection, 5 blocks of 2 warps, 1 at once".
std::string text(const RanksSetup& setup);

}  // namespace llep
