// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/proxy.hpp"
#include "transport/transport.hpp"

namespace llep {

/// Where far rows and words leave from and arrive, for kernels on a GPU. In host memory they lie in
/// a mirror of the heap that kernels reach across the bus.
enum class FarMemory {
  kHost,        // both in host memory: the wire moves nothing else
  kRowsOnGpu,   // rows in the heap, words in host memory: the wire moves GPU memory, but only the
                // CPU writes words
  kGpu,         // both in the heap
};

struct FifoOptions {
  std::string name = "fifo";   // or "hybrid-fifo"
  std::string wire = "mpi";    // of the proxies
  FarMemory memory = FarMemory::kHost;
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
  std::string description_;
  std::vector<std::string> stand_ins_;
  std::vector<std::unique_ptr<Proxy>> proxies_;
};

}  // namespace llep
