// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/proxy.hpp"
#include "transport/transport.hpp"

namespace llep {

/// Where kernels on a GPU have what travels far: in the heap, or in a mirror of it in pinned host
/// memory, which they reach across the bus.
struct FarMemory {
  bool rows_in_host = false;    // leave from and arrive in the mirror
  bool posted_in_host = false;  // words leave from there
  bool words_in_host = false;   // words and signals arrive there
};

struct FifoOptions {
  std::string name = "fifo";   // or "hybrid-fifo"
  std::string wire = "mpi";    // of the proxies
  FarMemory memory;            // the host executor has but the heap
  MakeProxyWires make_wires;
  std::vector<bool> near;      // [num_ranks] peers whose memory this rank maps
  int num_proxies = 1;
  int channels_per_peer = 1;
  std::uint32_t depth = 1024;  // of each ring, a power of two
  bool from_inputs = false;    // sources may be the user's memory
  bool naps = false;           // of idle proxies: fewer cores than threads
};

/// Descriptors that kernels push and proxy threads carry out, for the peers that are not near.
class FifoTransport final : public Transport {
 public:
  explicit FifoTransport(FifoOptions options) : options_(std::move(options)) {}

  std::string_view name() const override { return options_.name; }
  void connect(Communicator& world, SymmetricHeap& heap) override;
  void disconnect(Communicator& world) override;
  AnyWire wire() const override;
  void zero_arrivals(std::uint64_t bytes) override;
  std::optional<std::string> failure() const override;
  std::string state() const override;
  TransportReport report() const override;
  void stall_proxies() override;
  void break_link() override;

 private:
  FarHeap far_heap(SymmetricHeap& heap);
  std::string describe(const ProxyWires& made) const;

  FifoOptions options_;
  IpcWire near_;
  ChannelMap map_;
  Memory mirror_;
  FarHeap far_;
  TransportReport told_;  // what does not change
  std::vector<std::unique_ptr<Proxy>> proxies_;
};

}  // namespace llep
