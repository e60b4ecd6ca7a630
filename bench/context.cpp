// SPDX-License-Identifier: MIT
#include "bench/context.hpp"

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

#include "bench/or_null.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

/// Beside the keys' own.
constexpr std::array kRecordedVariables = {
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUDA_MODULE_LOADING",  "OMPI_MCA_btl",
    "OMPI_MCA_pml",         "UCX_TLS",
};

/// Values that may name a device, a user or a folder.
constexpr std::array kPrivateVariables = {"CUDA_VISIBLE_DEVICES", "LLEP_CONFIG", "LLEP_JSON",
                                         "LLEP_ROUTING", "LLEP_FLOORS", "LLEP_SAMPLES"};

Json per_rank(const ContextInfo& context, Json (*show)(const RankInfo&)) {
  Json list = Json::array();
  for (const RankInfo& rank : context.ranks) list.push_back(show(rank));
  return list;
}

Json environment_json(const ContextInfo& context, bool anonymous) {
  Json json = Json::object();
  for (const auto& [name, value] : context.environment) json[name] = value;
  if (!anonymous) return json;
  for (const char* name : kPrivateVariables) {
    if (json.contains(name)) json[name] = nullptr;
  }
  return json;
}

Json arguments_json(const RunOptions& options) {
  Json json = to_json(options);
  if (!options.anonymous) return json;
  json["json"] = nullptr;
  if (options.command == Subcommand::kFloors) return json;
  json["samples"] = nullptr;
  if (!options.measures_floors()) json["floors"] = nullptr;
  json["routing"] = Json::array();  // traces without their folders
  for (const RoutingPattern& pattern : options.routings) json["routing"].push_back(label(pattern));
  return json;
}

/// Outside git the build knows none and says "unknown".
Json revision_json(const ContextInfo& context) {
  const bool known = !context.git_revision.empty() && context.git_revision != "unknown";
  return known ? Json(context.git_revision) : Json(nullptr);
}

Json note(const ContextInfo& context) {
  if (context.executor == ExecutorKind::kCuda) return nullptr;
  return "host executor: timings are not GPU timings";
}

Json device_json(const RankInfo& rank) {
  return {{"name", rank.device},
          {"uuid", or_null(rank.uuid)},
          {"pci_bus_id", or_null(rank.pci_bus_id)}};
}

Json processor_json(const RankInfo& rank) {
  return rank.processor.empty() ? Json(nullptr) : Json(rank.processor);
}

Json anonymous_device_json(const RankInfo& rank) {
  Json json = device_json(rank);
  json["uuid"] = nullptr;
  return json;
}

}  // namespace

const char* to_string(ExecutorKind executor) {
  return executor == ExecutorKind::kHost ? "host" : "cuda";
}

std::string utc_time(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text = {};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

Environment recorded_environment(const Environment& environment) {
  Environment recorded;
  const auto record = [&](const std::string& name) {
    const auto found = environment.find(name);
    if (found != environment.end()) recorded.insert(*found);
  };
  for (const char* name : kRecordedVariables) record(name);
  for (const Subcommand command : {Subcommand::kRun, Subcommand::kFloors}) {
    for (const OptionKey& key : keys_of(command)) record(key.environment_name());
  }
  record("LLEP_CONFIG");
  return recorded;
}

nlohmann::ordered_json to_json(const ContextInfo& context, const RunOptions& options) {
  const bool anonymous = options.anonymous;
  const Json hosts = per_rank(context, [](const RankInfo& rank) { return Json(rank.host); });
  return {
      {"world_size", context.world_size()},
      {"num_nodes", context.num_nodes},
      {"executor", to_string(context.executor)},
      {"note", note(context)},
      {"shared_gpus", context.shared_gpus},
      {"devices", per_rank(context, anonymous ? anonymous_device_json : device_json)},
      {"hosts", anonymous ? Json(nullptr) : hosts},
      {"nodes", per_rank(context, [](const RankInfo& rank) { return Json(rank.node); })},
      {"placement", per_rank(context, [](const RankInfo& rank) { return Json(rank.placement); })},
      {"processors", per_rank(context, processor_json)},
      {"nvidia_driver", or_null(context.nvidia_driver)},
      {"cuda_driver", or_null(context.cuda_driver)},
      {"cuda_runtime", or_null(context.cuda_runtime)},
      {"mpi_library", context.mpi_library},
      {"llep_version", context.version},
      {"git_revision", revision_json(context)},
      {"start_time", context.start_time},
      {"stand_ins", Json::array()},
      {"transports", Json::array()},
      {"traces", context.traces},
      {"gpu_health", nullptr},
      {"warnings", Json::array()},
      {"arguments", arguments_json(options)},
      {"environment", environment_json(context, anonymous)},
  };
}

}  // namespace llep
