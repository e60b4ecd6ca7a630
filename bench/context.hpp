// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/option_sources.hpp"
#include "common/exec/device.hpp"

namespace llep {

/// One rank's place and device.
struct RankInfo {
  std::string device = {};               // "NVIDIA H200", "host"
  std::optional<std::string> uuid = {};        // of a GPU
  std::optional<std::string> pci_bus_id = {};  // of a GPU, on its node
  int node = 0;  // ranks of a node have the same number
  std::string host = {};
  std::string placement = {};  // cpus and why, as the binding reported it
  std::string processor = {};  // of its node: processor()
};

/// Where, with what and when a run was made: what a reader needs to judge its numbers. Complete
/// on rank 0.
struct ContextInfo {
  ExecutorKind executor = ExecutorKind::kHost;
  bool shared_gpus = false;
  int num_nodes = 1;
  std::vector<RankInfo> ranks = {};  // [world_size]
  std::optional<std::string> nvidia_driver = {};  // several nodes' joined by ", "
  std::optional<std::string> cuda_driver = {};    // the CUDA version that it offers
  std::optional<std::string> cuda_runtime = {};
  std::string mpi_library = {};
  std::string version = {};
  std::string git_revision = {};
  std::string start_time = {};              // utc_time()
  Environment environment = {};             // recorded_environment()
  std::map<std::string, std::string> traces = {};  // trace_digests()

  int world_size() const { return static_cast<int>(ranks.size()); }
};

const char* to_string(ExecutorKind executor);  // "host", "cuda"

/// "2026-01-31T12:00:00Z"
std::string utc_time(std::chrono::system_clock::time_point time);

/// The few variables that change what is measured: keys and an explicit list. Never all.
Environment recorded_environment(const Environment& environment);

/// The block `context`. With options.anonymous it holds no host name, UUID or path.
nlohmann::ordered_json to_json(const ContextInfo& context, const RunOptions& options);

}  // namespace llep
