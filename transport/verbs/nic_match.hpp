// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace llep {

/// Where a device sits: its folder below /sys/devices and its NUMA node.
struct PciPlace {
  std::string path = {};  // "pci0000:00/0000:00:01.0/0000:01:00.0"; empty: no PCI device
  int numa_node = -1;     // -1: unknown

  /// "0000:01:00.0"; empty: no PCI device
  std::string bus_id() const { return path.substr(path.rfind('/') + 1); }
};

/// The place of a device named by a link in sysfs (/sys/bus/pci/devices/..., .../rdma0/device).
PciPlace place_of(const std::string& sysfs_link);

/// Bridges and ports on the way from one device to the other; more than any such way if they meet
/// only in a processor, most if in none.
int pci_distance(const PciPlace& a, const PciPlace& b);

/// More than all real distances of a node together: a port that a rank does not have.
inline constexpr int kNoNic = 1'000'000;

/// The NIC of each rank of a node, such that the sum of the distances is smallest and no NIC has
/// more ranks than an even share. distance: [num_ranks][num_nics], num_nics > 0. Among equals,
/// lower ranks get lower NICs.
std::vector<int> match_nics(const std::vector<std::vector<int>>& distance);

}  // namespace llep
