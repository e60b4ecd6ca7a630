// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "transport/fifo/fifo_wire.hpp"
#include "transport/hybrid/hybrid_wire.hpp"
#include "transport/ibgda/ibgda_wire.hpp"
#include "transport/ipc/ipc_wire.hpp"
#include "transport/symmetric_heap.hpp"

namespace llep {

/// One of the wires; launchers turn the run-time choice into a type.
using AnyWire = std::variant<IpcWire, HybridWire<FifoWire>, HybridWire<IbgdaWire>>;

/// Stores to the memory of the ranks `near`. Throws the same on all ranks.
IpcWire make_ipc_wire(const Communicator& world, const SymmetricHeap& heap,
                      const std::vector<bool>& near);

/// What a rank's transport says of itself.
struct TransportReport {
  std::string description;             // for people: what carries the rows, devices, settings
  std::string adapter = {};            // its kind, without names and addresses; empty: none
  std::vector<std::string> stand_ins;  // software in place of hardware
  std::string far;                     // what carries rows to far peers; empty: there are none
  std::vector<std::string> paths;      // [num_ranks] counted, else "ipc" where memory is mapped
  std::vector<double> proxy_cpu;       // [num_proxies] share of a core that each used
};

/// How rows travel, host side.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual std::string_view name() const = 0;
  /// Collective, in local phases followed by agreement: one rank's failure is every rank's same
  /// Error (ExitCode::kUnavailable when the machine cannot do it).
  virtual void connect(Communicator& world, SymmetricHeap& heap) = 0;
  /// Collective, once all agreed that they stopped: after it every rank may free its heap.
  virtual void disconnect(Communicator& world) = 0;
  virtual AnyWire wire() const = 0;

  /// All ranks zero the first bytes of their heaps, nothing is in flight anywhere: so must be what
  /// else the transport has of them.
  virtual void zero_arrivals(std::uint64_t /*bytes*/) {}
  /// Rows may be sent from this memory where it lies, until the handle goes, which it does before
  /// the memory and the transport. Null: they are copied to their homes first. Local; the memory has
  /// pages of its own (Device::allocate_pages).
  virtual std::shared_ptr<void> send_from(std::byte* /*base*/, std::uint64_t /*bytes*/) {
    return nullptr;
  }
  /// What ended this rank's transport, in one line; nothing while it works.
  virtual std::optional<std::string> failure() const { return std::nullopt; }
  /// What may explain a wait that failed; empty: nothing to add.
  virtual std::string state() const { return {}; }
  virtual TransportReport report() const = 0;

  /// Fault injection; Error(kUsage) where there is nothing to stall or to break.
  virtual void stall_proxies();
  virtual void break_link();
};

}  // namespace llep
