// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "common/mpi_session.hpp"
#include "transport/ibgda/mapped_queues.hpp"
#include "transport/ibgda/posting.hpp"

namespace llep {

/// One of the ranks of a test, a process under mpirun: a device, a heap and queues to all others.
class AdapterRank {
 public:
  static constexpr std::uint64_t kHeapBytes = 1 << 20;
  static constexpr int kWarps = 4;

  explicit AdapterRank(MpiCommunicator& world) : world_(world) {}

  void connect(const VerbsOptions& options, int channels = 1, bool own_registers = true) {
    const int num_cqs = world_.size() * channels;
    mesh_ = connect_mesh(world_, options, {}, {.base = heap_.get(), .bytes = kHeapBytes},
                         {.num_ranks = world_.size(),
                          .channels_per_peer = channels,
                          .num_cqs = num_cqs,
                          .cq_of = [=](int peer, int channel) { return peer * channels + channel; },
                          .own_registers = own_registers});
  }
  /// Once the mesh is as it shall be.
  void map(int depth) { queues_ = std::make_unique<MappedQueues>(device_, *mesh_, depth); }
  void disconnect() {
    queues_.reset();
    mesh_.reset();
  }

  int rank() const { return world_.rank(); }
  int next() const { return (rank() + 1) % world_.size(); }
  MpiCommunicator& world() { return world_; }
  HostDevice& device() { return device_; }
  VerbsMesh& mesh() { return *mesh_; }
  MappedQueues& queues() { return *queues_; }
  const FaultRecord& fault() { return *device_.faults().record; }

  std::uint64_t* word(std::uint64_t offset) {
    return reinterpret_cast<std::uint64_t*>(heap_.get() + offset);
  }
  const SendQueue& queue(int peer, int channel = 0) const {
    return queues_->table()[peer * mesh_->channels_per_peer + channel];
  }
  /// The queue of one lane.
  auto posting(int peer, int channel = 0) {
    const auto of = [&queue = queue(peer, channel)](int) -> const SendQueue& { return queue; };
    return Posting{1U, of};
  }

  void run(const std::function<void(host::Warp&)>& body) {
    device_.launch({.stage_bytes = 128}, [&](host::Warp& warp, host::RowPipe&) { body(warp); });
  }
  void run_one(const std::function<void(host::Warp&)>& body) {
    run([&](host::Warp& warp) {
      if (warp.index() == 0) body(warp);
    });
  }
  /// The word arrived from elsewhere, within the deadline of the device.
  bool arrives(host::Warp& warp, std::uint64_t offset, std::uint64_t value, int peer) {
    return warp.wait_all(
        1, [&](int) { return Awaited{.word = word(offset), .peer = peer}; }, value,
        WaitPhase::kProbe);
  }

 private:
  MpiCommunicator& world_;
  HostDevice device_{world_.rank(), {.num_blocks = 1, .warps_per_block = kWarps}};
  Memory heap_ = device_.allocate(kHeapBytes);
  std::shared_ptr<VerbsMesh> mesh_;
  std::unique_ptr<MappedQueues> queues_;
};

/// All ranks end a test together.
class AdapterTest : public testing::Test {
 protected:
  void TearDown() override { world_.barrier(); }

  MpiCommunicator world_ = MpiCommunicator::world();
  AdapterRank mine_{world_};
};

}  // namespace llep
