// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <variant>

#include "transport/ipc/ipc_wire.hpp"
#include "transport/symmetric_heap.hpp"

namespace llep {

/// One of the wires; launchers turn the run-time choice into a type.
using AnyWire = std::variant<IpcWire>;

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
};

}  // namespace llep
