// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/communicator.hpp"
#include "common/exec/device.hpp"
#include "transport/fifo/descriptor.hpp"

namespace llep {

/// How channels are shared out. A channel belongs to one proxy on both sides.
struct ChannelMap {
  int num_ranks = 1;
  int channels_per_peer = 1;
  int num_proxies = 1;

  LLEP_DEVICE constexpr int proxy_of(int peer, int channel) const {
    return (peer * channels_per_peer + channel) % num_proxies;
  }
};

/// The memory that puts are made from and arrive in: of the same size and layout on every rank.
struct FarHeap {
  std::byte* base = nullptr;
  std::byte* posted = nullptr;  // words leave from here: what wire mpi must read, for one
  std::byte* words = nullptr;   // words and signals arrive here
  std::uint64_t bytes = 0;
  Device* device = nullptr;     // whose kernels use it
  bool device_memory = false;   // `base`; false: the host may read and write it
};

/// A descriptor, or several puts that were contiguous on both sides, on its way to a wire.
struct Work {
  Descriptor what;
  std::uint64_t end = 0;  // ring position: all before it is this work or work given earlier
};

/// What a proxy thread moves rows with. All calls but the constructor's come from that thread.
///
/// Ordering contract: on one channel (peer and channel number), a signal's word changes at the peer
/// only after the bytes of all earlier puts and words of that channel are there, and the values of
/// one word arrive in order. Nothing is ordered between channels.
///
/// Errors are thrown (Error, kInternal or kDeadline): what failed, with which peer, what to look at.
class ProxyWire {
 public:
  virtual ~ProxyWire() = default;

  /// Starts work of several channels, in order, without waiting. Returns how many it took, from the
  /// front; fewer than all when a queue is full.
  virtual std::size_t post(std::span<const Work> work) = 0;

  /// Moves things on without waiting: reaps completions, serves what peers send. Returns the ring
  /// position up to which all posted work is complete (`end` of the last of it): the sources may be
  /// overwritten.
  virtual std::uint64_t progress() = 0;

  /// Fault injection: the next work to a peer fails as it would on a broken link.
  virtual void break_link() {}

  /// The peers' signal words are zeros again: for wires that remember what they wrote. From any
  /// thread, while nothing is in flight anywhere.
  virtual void signals_zeroed() {}
};

/// One wire per proxy, made by all ranks together in local phases followed by agreement.
struct ProxyWires {
  std::vector<std::unique_ptr<ProxyWire>> wires;
  std::string description;             // for people: "verbs: mlx5_0 port 1 GID 3 (RoCEv2)"
  std::vector<std::string> stand_ins;  // software in place of hardware: "rxe"
  std::string adapter = {};            // VerbsDevice::adapter(); empty: none
  std::string warning = {};            // what costs speed: two ranks on one adapter; empty: nothing
  std::string pci_bus_id = {};         // of the adapter that proxies should be near; empty: none
};
using MakeProxyWires =
    std::function<ProxyWires(Communicator& world, const FarHeap& heap, const ChannelMap& map)>;

}  // namespace llep
