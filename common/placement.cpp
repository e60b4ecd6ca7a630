// SPDX-License-Identifier: MIT
#include "common/placement.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <hwloc.h>

#include "common/unique_handle.hpp"

namespace llep {
namespace {

using Topology = UniqueHandle<hwloc_topology_t, hwloc_topology_destroy>;
using Cpuset = UniqueHandle<hwloc_bitmap_t, hwloc_bitmap_free>;

/// The node's topology with its PCI devices; empty if hwloc cannot read it.
Topology load_topology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return Topology();
  Topology topology(raw);
  // Not only devices that hwloc finds important: the id decides.
  if (hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_ALL) != 0 ||
      hwloc_topology_load(raw) != 0) {
    return Topology();
  }
  return topology;
}

/// All threads' cpus, within those the node offers (its cgroup).
Cpuset current_cpus(const Topology& topology) {
  Cpuset cpus(hwloc_bitmap_alloc());
  if (hwloc_get_cpubind(topology.get(), cpus.get(), HWLOC_CPUBIND_PROCESS) != 0) return Cpuset();
  hwloc_bitmap_and(cpus.get(), cpus.get(), hwloc_topology_get_allowed_cpuset(topology.get()));
  return hwloc_bitmap_iszero(cpus.get()) != 0 ? Cpuset() : std::move(cpus);
}

std::string to_list(hwloc_const_cpuset_t cpus) {
  char* text = nullptr;
  if (hwloc_bitmap_list_asprintf(&text, cpus) < 0) return {};
  const std::unique_ptr<char, decltype(&std::free)> owner(text, std::free);
  return text;
}

int only_numa_node(const Topology& topology, hwloc_const_cpuset_t cpus) {
  const Cpuset nodes(hwloc_bitmap_alloc());
  hwloc_cpuset_to_nodeset(topology.get(), cpus, nodes.get());
  return hwloc_bitmap_weight(nodes.get()) == 1 ? hwloc_bitmap_first(nodes.get()) : -1;
}

Placement describe(const Topology& topology, hwloc_const_cpuset_t cpus, std::string reason) {
  const bool everywhere =
      hwloc_bitmap_isequal(cpus, hwloc_topology_get_allowed_cpuset(topology.get())) != 0;
  return {.bound = !everywhere,
          .cpuset = to_list(cpus),
          .numa_node = only_numa_node(topology, cpus),
          .reason = std::move(reason)};
}

/// The cpus nearest to the device; null if hwloc does not see it.
hwloc_const_cpuset_t cpus_near(const Topology& topology, const std::string& pci_bus_id) {
  hwloc_obj_t device = hwloc_get_pcidev_by_busidstring(topology.get(), pci_bus_id.c_str());
  if (device == nullptr) return nullptr;
  return hwloc_get_non_io_ancestor_obj(topology.get(), device)->cpuset;
}

/// `what`: HWLOC_CPUBIND_PROCESS or _THREAD.
Placement bind_to(const Topology& topology, hwloc_const_cpuset_t current, hwloc_const_cpuset_t near,
                  const std::string& who, int what) {
  const Cpuset target(hwloc_bitmap_alloc());
  hwloc_bitmap_and(target.get(), current, near);
  if (hwloc_bitmap_iszero(target.get()) != 0) {
    return describe(topology, current,
                    fmt::format("{}: the launcher bound it away from the cpus near its device "
                                "({}); mpirun --bind-to none leaves the choice to llep",
                                who, to_list(near)));
  }
  if (hwloc_bitmap_isequal(target.get(), current) != 0) {
    Placement kept = describe(topology, current, {});
    kept.reason = who + (kept.bound ? ": the launcher's binding is kept, it is near the device"
                                    : ": all cpus are equally near the device");
    return kept;
  }
  if (hwloc_set_cpubind(topology.get(), target.get(), what) != 0) {
    return describe(
        topology, current,
        fmt::format("{}: binding to {}: {}", who, to_list(target.get()), std::strerror(errno)));
  }
  return describe(topology, target.get(), who + ": bound to the cpus near its device");
}

Placement bind_near(const Topology& topology, hwloc_const_cpuset_t current,
                    const std::string& pci_bus_id, const std::string& who, int what) {
  const hwloc_const_cpuset_t near = cpus_near(topology, pci_bus_id);
  if (near == nullptr) {
    return describe(
        topology, current,
        fmt::format("{}: not bound by llep, hwloc sees no PCI device {}", who, pci_bus_id));
  }
  return bind_to(topology, current, near, fmt::format("{}, device {}", who, pci_bus_id), what);
}

Placement unknown(const char* reason) {
  Placement placement;
  placement.reason = reason;
  return placement;
}

/// With this process's cpus, or says that they are unknown.
template <class F>
Placement with_cpus(F&& place) {
  const Topology topology = load_topology();
  if (!topology) return unknown("hwloc cannot read the topology of this machine");
  const Cpuset current = current_cpus(topology);
  if (!current) return unknown("hwloc cannot tell this process's cpus");
  return place(topology, current.get());
}

}  // namespace

Placement bind_near_pci(const std::optional<std::string>& pci_bus_id, int local_rank,
                        int local_size) {
  return with_cpus([&](const Topology& topology, hwloc_const_cpuset_t current) {
    const std::string who = fmt::format("local rank {} of {}", local_rank, local_size);
    if (!pci_bus_id) {
      return describe(topology, current, who + ": not bound by llep, its device is the host");
    }
    return bind_near(topology, current, *pci_bus_id, who, HWLOC_CPUBIND_PROCESS);
  });
}

Placement bind_thread_near_pci(const std::string& pci_bus_id, const std::string& who) {
  return with_cpus([&](const Topology& topology, hwloc_const_cpuset_t current) {
    return bind_near(topology, current, pci_bus_id, who, HWLOC_CPUBIND_THREAD);
  });
}

std::string processor() {
  const Topology topology = load_topology();
  if (!topology) return {};
  const hwloc_obj_t machine = hwloc_get_root_obj(topology.get());
  const hwloc_obj_t package = hwloc_get_obj_by_type(topology.get(), HWLOC_OBJ_PACKAGE, 0);
  const char* model =
      package == nullptr ? nullptr : hwloc_obj_get_info_by_name(package, "CPUModel");
  if (model == nullptr) model = hwloc_obj_get_info_by_name(machine, "CPUModel");
  if (model == nullptr) model = hwloc_obj_get_info_by_name(machine, "Architecture");
  if (model == nullptr) return {};
  std::string name = model;
  name.erase(name.find_last_not_of(' ') + 1);  // some vendors fill it up
  return fmt::format("{}, {} threads", name,
                     hwloc_bitmap_weight(hwloc_topology_get_complete_cpuset(topology.get())));
}

Placement current_placement() {
  return with_cpus([](const Topology& topology, hwloc_const_cpuset_t current) {
    Placement placement = describe(topology, current, {});
    placement.reason = placement.bound ? "bound by the launcher" : "not bound";
    return placement;
  });
}

}  // namespace llep
