// SPDX-License-Identifier: MIT
#pragma once

#include "transport/transport.hpp"

namespace llep {

/// CUDA IPC between the GPUs of a node; shared memory on the host executor.
class IpcTransport final : public Transport {
 public:
  std::string_view name() const override { return "ipc"; }
  void connect(Communicator& world, SymmetricHeap& heap) override;
  void disconnect(Communicator& world) override { world.barrier(); }
  AnyWire wire() const override { return wire_; }
  TransportReport report() const override;

 private:
  IpcWire wire_;
  int num_ranks_ = 0;
};

}  // namespace llep
