// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "transport/fifo/proxy_wire.hpp"
#include "transport/fifo/ring.hpp"

namespace llep {

struct ProxyOptions {
  int index = 0;
  int num_ranks = 1;
  std::uint32_t depth = 1024;  // of its ring, a power of two
  bool naps = false;           // while idle: fewer cores than threads
  std::string pci_bus_id = {};  // of the adapter to be near; empty: anywhere
};

/// What a proxy has done for one peer.
struct ProxyTraffic {
  std::uint64_t bytes = 0;
  std::uint64_t puts = 0;
  std::uint64_t signals = 0;
};

/// A thread that reads one ring and moves what it says with a wire, until it is destroyed. It waits
/// for nothing: not for a peer, not for a completion.
class Proxy {
 public:
  Proxy(Device& device, const ProxyOptions& options, std::unique_ptr<ProxyWire> wire);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  FifoRing ring() const;
  /// The error that ended it.
  std::optional<std::string> failure() const;
  /// Where its thread runs, for people; empty: anywhere. Once, waits until the thread is there.
  std::string placement() { return placement_.get_future().get(); }
  /// How far it has come, for people.
  std::string state() const;
  ProxyTraffic traffic(int peer) const;
  /// CPU time of the thread over the time it has existed.
  double cpu_share();

  void signals_zeroed() { wire_->signals_zeroed(); }
  void stall() { stalled_.store(true); }
  void break_link() { break_link_.store(true); }

 private:
  struct alignas(64) HostWord {
    std::uint64_t value = 0;
  };
  struct Counters {
    std::atomic<std::uint64_t> bytes = 0, puts = 0, signals = 0;
  };

  std::string place() const;
  void run();
  bool step();
  bool read_ring();
  void take(const Descriptor& what);
  bool merge(const Descriptor& what);
  bool post();
  bool publish_completed();
  void fail(const std::string& message);
  std::uint64_t pushed() const;

  Device& device_;
  ProxyOptions options_;
  std::unique_ptr<ProxyWire> wire_;
  Memory slots_;   // Slot [depth], host memory
  Memory words_;   // HostWord tail, completed; host memory
  Memory counts_;  // FifoRing's head, seen_tail, asking; device memory

  // The thread's own.
  std::uint64_t position_ = 0;   // of the next descriptor to read
  std::uint64_t posted_ = 0;     // end of the last work that the wire has taken
  std::uint64_t completed_ = 0;  // as published
  std::vector<Work> pending_;    // read, not yet taken by the wire

  std::vector<Counters> traffic_;  // [num_ranks]
  std::atomic<std::uint64_t> last_cpu_ns_ = 0;  // of the thread, once it has ended
  std::uint64_t started_ns_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> stalled_ = false;
  std::atomic<bool> break_link_ = false;
  mutable std::mutex failure_mutex_;
  std::optional<std::string> failure_;
  std::promise<std::string> placement_;
  std::thread thread_;
};

}  // namespace llep
