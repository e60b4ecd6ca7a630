// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "transport/verbs/handles.hpp"
#include "transport/verbs/nic_match.hpp"

namespace llep {

/// One port of an RDMA device of this machine.
struct Port {
  std::string device = {};  // "mlx5_0"
  int number = 1;
  std::string unusable = {};  // why; empty: it is active, and queue pairs can be connected over it
  double gigabits = 0;        // per second; 0: unknown
  PciPlace place = {};
  bool is_mlx5 = false;

  /// "mlx5_0", and ":2" for any port but the first: what --nic-map takes.
  std::string name() const;
};

/// All ports of this machine. Throws Error(kUnavailable) when it has no device, or no RDMA at all.
std::vector<Port> list_ports();

/// Throws Error(kUnavailable) with what is wrong with each if none is usable.
std::vector<Port> usable_ports();

/// The GID that goes into packets. `wanted` >= 0: that one. Else for Ethernet RoCEv2, best of an
/// IPv4 address, worst of a link-local one; for InfiniBand index 0. Throws Error(kUnavailable) with
/// the GIDs there are.
ibv_gid_entry choose_gid(std::span<const ibv_gid_entry> gids, bool ethernet, int wanted);

/// "GID 3 (RoCEv2 10.9.0.1)"
std::string to_string(const ibv_gid_entry& gid);

/// A device opened for one of its ports.
struct VerbsDevice {
  std::string name;  // of the port
  PciPlace place;
  UniqueContext context;
  UniquePd pd;
  ibv_device_attr limits = {};
  ibv_port_attr port = {};
  int port_number = 1;
  double gigabits = 0;  // per second; 0: unknown
  ibv_gid_entry gid = {};

  bool ethernet() const { return port.link_layer == IBV_LINK_LAYER_ETHERNET; }
  /// What it is if it is software: "rxe", "softmlx5".
  std::optional<std::string> stand_in() const;
  /// "mlx5_0 port 1 GID 3 (RoCEv2 10.9.0.1)"
  std::string description() const;
  /// "vendor 0x2c9 part 4129, InfiniBand, 400 Gb/s": the same on machines of the same kind.
  std::string adapter() const;
};
VerbsDevice open_port(const Port& port, int gid_index);

}  // namespace llep
