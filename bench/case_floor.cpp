// SPDX-License-Identifier: MIT
#include "bench/case_floor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "bench/metrics.hpp"
#include "bench/option_values.hpp"
#include "bench/result_file.hpp"
#include "common/statistics.hpp"
#include "kernels/probe_layout.hpp"

namespace llep {

namespace {

using Json = nlohmann::ordered_json;

constexpr double kUsPerByteAtOneGbps = 1e-3;
/// Below so many tokens an exchange is the floor where it takes longer.
constexpr int kFewTokens = 32;
/// Smaller rows take less than an exchange, whose messages have 16 KiB: the 14 KiB of 7168 columns.
constexpr std::int64_t kLeastRow = 12 * 1024;
constexpr double kUnknown = std::numeric_limits<double>::infinity();

void need_same(const char* field, const Json& file, const Json& run) {
  if (file == run) return;
  usage_error(fmt::format("{} is {} there, {} in this run", field, file.dump(), run.dump()));
}

void need_same_hardware(const Json& file, const ContextInfo& context, const RunOptions& options) {
  need_same("executor", file.at("executor"), to_string(context.executor));
  need_same("world_size", file.at("world_size"), context.world_size());
  need_same("num_nodes", file.at("num_nodes"), context.num_nodes);
  Json nodes = Json::array();
  for (const RankInfo& rank : context.ranks) nodes.push_back(rank.node);
  need_same("nodes", file.value("nodes", nodes), nodes);  // older files have but their number
  need_same("ranks-per-node", file.at("arguments").value("ranks-per-node", 0),
            options.ranks_per_node);
  need_same("shared_gpus", file.at("shared_gpus"), context.shared_gpus);
  Json there = Json::array();
  for (const Json& device : file.at("devices")) there.push_back(device.at("name"));
  Json here = Json::array();
  for (const RankInfo& rank : context.ranks) here.push_back(rank.device);
  need_same("devices", there, here);
}

std::string key_of(const std::string& transport, bool atomic) {
  return transport + (atomic ? "-atomic" : "");
}

/// "fifo-verbs over rxe"; empty: rows stay on their node.
std::string carrier(const std::string& far, const std::vector<std::string>& stand_ins) {
  if (far.empty() || stand_ins.empty()) return far;
  return fmt::format("{} over {}", far, fmt::join(stand_ins, ", "));
}

/// What carried rows that did not stay on their node; empty: none did.
std::string far_of(const Json& paths) {
  const std::vector<std::string> near = {"self", "ipc", "none"};
  for (const Json& row : paths) {
    for (const Json& path : row) {
      if (std::find(near.begin(), near.end(), path) == near.end()) return path.get<std::string>();
    }
  }
  return "";
}

/// Launches that the host clock of an op sees: those of a chain hide behind the ops before.
int num_launches(const Case& one, Op op) {
  if (is_chain(one.mode)) return 0;
  return one.phases == Phases::kSplit && op != Op::kPair ? 2 : 1;
}

/// Of the rank for which wire and local memory together take longest.
void take_longest_rank(const FloorWork& work, CaseFloor& floor) {
  const auto us = [](std::uint64_t bytes, double gbps) {
    return static_cast<double>(bytes) * kUsPerByteAtOneGbps / gbps;
  };
  for (std::size_t rank = 0; rank < work.wire.size(); ++rank) {
    const double wire_us = us(work.wire[rank], floor.rates.put_gbps);
    const double memory_us = us(work.memory[rank], floor.rates.local_gbps);
    if (wire_us + memory_us < floor.wire_us + floor.memory_us) continue;
    floor.wire_us = wire_us;
    floor.memory_us = memory_us;
  }
}

/// " + 2 * flag_us".
std::string more(int count, const char* name) {
  return count == 0 ? "" : fmt::format(" + {} * {}", count, name);
}

}  // namespace

void Floors::add(const Json& entry) {
  if (entry.at("status") != "ok") return;
  const std::string transport = entry.at("transport").get<std::string>();
  const Known nothing{.rates = {.exchange_us = kUnknown, .launch_us = kUnknown},
                      .message_us = kUnknown};
  const auto at = known_.try_emplace(key_of(transport, entry.at("signal") == "atomic"), nothing);
  auto& [rates, message_us] = at.first->second;
  const std::string probe = entry.at("probe").get<std::string>();
  const auto bytes = entry.at("bytes").is_null() ? 0 : entry["bytes"].get<std::uint64_t>();
  const auto us = [&] { return entry.at("us_min").get<double>(); };
  const auto gbps = [&] { return entry.at("gbps_max").get<double>(); };
  if (probe == "flag") rates.flag_us = std::max(rates.flag_us, us());
  if (probe == "exchange") rates.exchange_us = std::min(rates.exchange_us, us());
  if (probe == "put_latency" && bytes == kExchangeBytes) message_us = std::min(message_us, us());
  if (probe == "put_stream" && entry.at("to").is_null()) {
    rates.put_gbps = std::max(rates.put_gbps, gbps());
  }
  if (probe == "local_copy") rates.local_gbps = gbps();
  if (probe == "empty_launch") rates.launch_us = us();
}

void Floors::add_carrier(const Json& transport, const Json& context) {
  const std::string label = transport.at("name").get<std::string>();
  // Older files have the stand-ins of all transports together.
  const auto stand_ins = transport.value("stand_ins", context.at("stand_ins"));
  const std::string found =
      carrier(far_of(transport.at("paths")), stand_ins.get<std::vector<std::string>>());
  if (!found.empty()) carriers_[label.substr(0, label.find(", "))] = found;
}

void Floors::need_same_carrier(const TransportSummary& here) const {
  const bool known =
      known_.contains(key_of(here.name, false)) || known_.contains(key_of(here.name, true));
  if (!known) return;
  const auto found = carriers_.find(here.name);
  const std::string there = found == carriers_.end() ? "" : found->second;
  const std::string field = fmt::format("--floors {}: transport {}", source_, here.name);
  need_same(field.c_str(), there, carrier(here.far, here.stand_ins));
}

std::optional<FloorRates> Floors::rates(const Case& one) const {
  const auto found = known_.find(key_of(one.transport, one.signal == SignalMode::kAtomic));
  const auto local = known_.find("local");
  if (found == known_.end() || local == known_.end()) return std::nullopt;
  FloorRates rates = found->second.rates;
  // Older files have no exchange: a message alone takes no longer.
  if (rates.exchange_us == kUnknown) rates.exchange_us = found->second.message_us;
  rates.local_gbps = local->second.rates.local_gbps;
  rates.launch_us = local->second.rates.launch_us;
  const bool known = rates.put_gbps > 0 && rates.flag_us > 0 && rates.local_gbps > 0 &&
                     rates.exchange_us < kUnknown && rates.launch_us < kUnknown;
  return known ? std::optional(rates) : std::nullopt;
}

Floors read_floors(const RunOptions& options, const ContextInfo& context) {
  const std::string& path = options.floors_path;
  Floors floors(std::filesystem::path(path).filename().string());
  read_results_json(path, "floors", [&](const Json& document) {
    const Json& there = document.at("context");
    need_same_hardware(there, context, options);
    for (const Json& transport : there.at("transports")) floors.add_carrier(transport, there);
    for (const Json& entry : document.at("floors")) floors.add(entry);
  });
  return floors;
}

std::optional<CaseFloor> floor_of(const OpResult& op, const Case& one, const Floors& floors) {
  const auto rates = floors.rates(one);
  if (!rates || op.floor_work.wire.empty()) return std::nullopt;
  CaseFloor floor{.rates = *rates};
  take_longest_rank(op.floor_work, floor);
  const int num_flags = op.op == Op::kPair ? 2 : 1;
  const double flags_us = num_flags * rates->flag_us;
  const double exchange_us = num_flags * rates->exchange_us;
  const double launches_us = num_launches(one, op.op) * rates->launch_us;
  floor.device_us = floor.wire_us + floor.memory_us + flags_us;
  floor.formula = "wire_us + memory_us" + more(num_flags, "flag_us");
  std::vector<std::pair<double, const char*>> parts = {
      {floor.wire_us, "wire"}, {floor.memory_us, "memory"}, {flags_us, "flag"}};
  const bool like_exchange = op.floor_work.all_to_all && one.shape.max_tokens < kFewTokens &&
                             row_bytes(Op::kDispatch, one.dtype, one.shape.hidden) >= kLeastRow;
  if (like_exchange && exchange_us > floor.device_us) {
    floor.device_us = exchange_us;
    floor.formula = fmt::format("{} * exchange_us", num_flags);
    parts = {{exchange_us, "exchange"}};
  }
  parts.emplace_back(launches_us, "launch");
  floor.host_us = floor.device_us + launches_us;
  floor.formula += more(num_launches(one, op.op), "launch_us");
  floor.limited_by = std::max_element(parts.begin(), parts.end())->second;
  return floor;
}

double floor_ratio(const OpResult& op, const CaseFloor& floor) {
  return summarize(max_over_ranks(op.us)).p50 / floor.host_us;
}

std::optional<double> device_floor_ratio(const OpResult& op, const CaseFloor& floor) {
  if (op.device_us.empty()) return std::nullopt;
  return summarize(max_over_ranks(op.device_us)).p50 / floor.device_us;
}

std::string floor_lines(const CaseResult& result, const Floors& floors) {
  std::string text;
  for (const OpResult& op : result.ops) {
    const auto floor = measured(op) ? floor_of(op, result.which, floors) : std::nullopt;
    if (!floor) continue;
    text += fmt::format("  {}: {:.2f} x its floor of {:.2f} us, limited by {}", to_string(op.op),
                        floor_ratio(op, *floor), floor->host_us, floor->limited_by);
    const auto on_device = device_floor_ratio(op, *floor);
    text += on_device ? fmt::format("; device clock {:.2f} x {:.2f} us\n", *on_device,
                                    floor->device_us)
                      : "\n";
  }
  return text;
}

}  // namespace llep
