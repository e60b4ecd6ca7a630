// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "transport/transport.hpp"

namespace llep {

/// CUDA IPC between the GPUs of a node; shared memory on the host executor.
class IpcTransport final : public Transport {
 public:
  std::string_view name() const override { return "ipc"; }
  void connect(Communicator& world, SymmetricHeap& heap) override;
  void disconnect(Communicator& world) override;
  AnyWire wire() const override { return wire_; }

 private:
  std::vector<Memory> peers_;
  IpcWire wire_;
};

}  // namespace llep
