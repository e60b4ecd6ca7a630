// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace llep {

/// How memory becomes known to the adapter: device memory by dma-buf or by the peer memory module
/// (kAuto: in that order), or host memory alone.
enum class MrMode : int { kAuto, kDmabuf, kPeermem, kHost };

constexpr const char* to_string(MrMode mode) {
  switch (mode) {
    case MrMode::kAuto: return "auto";
    case MrMode::kDmabuf: return "dmabuf";
    case MrMode::kPeermem: return "peermem";
    case MrMode::kHost: return "host";
  }
  return "?";
}

/// Settings of whatever uses queue pairs; the same on all ranks.
struct VerbsOptions {
  /// A port ("mlx5_0", "mlx5_0:2") for each rank of a node in turn, or one for all of them. Empty:
  /// ports are matched to GPUs by PCIe distance.
  std::vector<std::string> nic_map = {};
  int gid_index = -1;  // -1: RoCEv2 of an IPv4 address, else any RoCEv2; InfiniBand: 0
  int service_level = 0;
  int traffic_class = 0;
  MrMode mr_mode = MrMode::kAuto;
  bool relaxed_ordering = false;  // lets writes overtake each other on PCIe: signals become atomics
  bool signal_atomic = false;
  int send_depth = 512;  // work requests that a queue pair holds
  int ack_timeout = 16;  // 4.096 us * 2^16 = 268 ms; after six retries a peer counts as dead

  bool atomic_signals() const { return signal_atomic || relaxed_ordering; }
};

/// What verbs need to know of one rank, from who made its device.
struct VerbsRank {
  std::optional<std::string> gpu_pci_bus_id = {};  // none: the host executor
  std::function<int()> export_dmabuf = {};  // a new descriptor of the heap; empty: cannot be had
  std::vector<bool> near = {};  // [num_ranks] peers reached by other means, no queue pairs to them
};

}  // namespace llep
