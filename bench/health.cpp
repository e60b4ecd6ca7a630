// SPDX-License-Identifier: MIT
#include "bench/health.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/or_null.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

Json health_json(const GpuHealth& health) {
  const auto& reasons = health.clocks_event_reasons;
  return {{"sm_mhz_min", or_null(health.sm_mhz_min)},
          {"sm_mhz_max", or_null(health.sm_mhz_max)},
          {"sm_mhz_limit", or_null(health.sm_mhz_limit)},
          {"mem_mhz", or_null(health.mem_mhz)},
          {"throttled", reasons ? Json(throttling(*reasons) != 0) : Json(nullptr)},
          {"clocks_event_reasons", reasons ? Json(clocks_event_words(*reasons)) : Json(nullptr)},
          {"ecc", or_null(health.ecc)},
          {"ecc_errors", or_null(health.ecc_errors)},
          {"other_processes", or_null(health.other_processes)},
          {"temperature_c_max", or_null(health.temperature_c_max)},
          {"power_w_max", or_null(health.power_w_max)}};
}

}  // namespace

std::unique_ptr<GpuMonitor> watch_gpu(Communicator& world, const NodeInfo& node,
                                      const Device& device, const ContextInfo& context) {
  if (device.executor() == ExecutorKind::kHost) return nullptr;
  const auto here = static_cast<std::size_t>(world.rank());
  const auto pids = gather_all(world, static_cast<unsigned>(::getpid()));
  OwnProcesses own{.this_process = pids[here], .num_on_gpu = 0};
  for (std::size_t rank = 0; rank < pids.size(); ++rank) {
    if (node.nodes[rank] == node.nodes[here]) own.of_node.push_back(pids[rank]);
    if (context.ranks[rank].uuid == context.ranks[here].uuid) ++own.num_on_gpu;
  }
  std::unique_ptr<GpuMonitor> monitor;
  collectively(world, [&] {
    monitor = std::make_unique<GpuMonitor>(device.pci_bus_id().value_or(""), std::move(own));
  });
  return monitor;
}

std::optional<std::string> nvidia_drivers(Communicator& world, const GpuMonitor* monitor) {
  const auto mine = monitor == nullptr ? std::nullopt : monitor->driver();
  const auto all = gather_strings(world, mine.value_or(""));
  std::set<std::string> drivers(all.begin(), all.end());
  drivers.erase("");
  if (drivers.empty()) return std::nullopt;
  return fmt::format("{}", fmt::join(drivers, ", "));
}

Json to_json(const RanksHealth& ranks) {
  if (std::none_of(ranks.begin(), ranks.end(), [](const auto& one) { return one.has_value(); })) {
    return nullptr;
  }
  Json list = Json::array();
  for (const auto& health : ranks) list.push_back(health ? health_json(*health) : Json(nullptr));
  return list;
}

std::vector<std::string> warnings_of(const RanksHealth& ranks) {
  std::vector<std::string> warnings;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const GpuHealth health = ranks[rank].value_or(GpuHealth());
    if (const auto reasons = throttling(health.clocks_event_reasons.value_or(0)); reasons != 0) {
      warnings.push_back(fmt::format("rank {}: its GPU was throttled ({})", rank,
                                     fmt::join(clocks_event_words(reasons), ", ")));
    }
    if (const auto others = health.other_processes.value_or(0); others != 0) {
      warnings.push_back(fmt::format("rank {}: {} other process{} used its GPU", rank, others,
                                     others == 1 ? "" : "es"));
    }
    if (const auto errors = health.ecc_errors.value_or(0); errors != 0) {
      warnings.push_back(fmt::format("rank {}: {} uncorrected ECC error{} of its GPU", rank, errors,
                                     errors == 1 ? "" : "s"));
    }
  }
  return warnings;
}

}  // namespace llep
