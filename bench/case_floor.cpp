// SPDX-License-Identifier: MIT
#include "bench/case_floor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "bench/metrics.hpp"
#include "bench/option_values.hpp"
#include "bench/result_file.hpp"
#include "common/statistics.hpp"

namespace llep {

namespace {

using Json = nlohmann::ordered_json;

constexpr double kUsPerByteAtOneGbps = 1e-3;
/// Below so many tokens a message and its flag are the floor where they take longer.
constexpr int kFewTokens = 32;
constexpr std::uint64_t kExchangeBytes = 16 * 1024;
constexpr double kUnknown = std::numeric_limits<double>::infinity();

void need_same(const char* field, const Json& file, const Json& run) {
  if (file == run) return;
  usage_error(fmt::format("{} is {} there, {} in this run", field, file.dump(), run.dump()));
}

void need_same_hardware(const Json& file, const ContextInfo& context) {
  need_same("executor", file.at("executor"), to_string(context.executor));
  need_same("world_size", file.at("world_size"), context.world_size());
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

/// Rates of which nothing is known yet: floors only raise or lower them.
FloorRates unknown_rates() {
  return {.flag_us = 0, .exchange_us = kUnknown, .launch_us = kUnknown};
}

void add_probe(const Json& entry, FloorRates& rates) {
  const std::string probe = entry.at("probe").get<std::string>();
  const auto bytes = entry.at("bytes").is_null() ? 0 : entry["bytes"].get<std::uint64_t>();
  if (probe == "flag") rates.flag_us = std::max(rates.flag_us, entry.at("us_min").get<double>());
  if (probe == "put_latency" && bytes == kExchangeBytes) {
    rates.exchange_us = std::min(rates.exchange_us, entry.at("us_min").get<double>());
  }
  if (probe == "put_stream" && entry.at("to").is_null()) {
    rates.put_gbps = std::max(rates.put_gbps, entry.at("gbps_max").get<double>());
  }
  if (probe == "local_copy") rates.local_gbps = entry.at("gbps_max").get<double>();
  if (probe == "empty_launch") rates.launch_us = entry.at("us_min").get<double>();
}

std::map<std::string, FloorRates> rates_by_transport(const Json& document) {
  std::map<std::string, FloorRates> rates;
  for (const Json& entry : document.at("floors")) {
    if (entry.at("status") != "ok") continue;
    const std::string key =
        key_of(entry.at("transport").get<std::string>(), entry.at("signal") == "atomic");
    add_probe(entry, rates.try_emplace(key, unknown_rates()).first->second);
  }
  return rates;
}

/// Launches that the host clock of an op sees: those of a chain hide behind the ops before.
int num_launches(const Case& one, Op op) {
  if (one.mode != Mode::kPaired) return 0;
  return one.phases == Phases::kSplit && op != Op::kPair ? 2 : 1;
}

}  // namespace

FloorsFile::FloorsFile(const std::string& path, const ContextInfo& context) : path_(path) {
  read_results_json(path, "floors", [&](const Json& document) {
    need_same_hardware(document.at("context"), context);
    rates_ = rates_by_transport(document);
  });
}

std::optional<FloorRates> FloorsFile::rates(const Case& one) const {
  const auto found = rates_.find(key_of(one.transport, one.signal == SignalMode::kAtomic));
  const auto local = rates_.find("local");
  if (found == rates_.end() || local == rates_.end()) return std::nullopt;
  FloorRates rates = found->second;
  rates.local_gbps = local->second.local_gbps;
  rates.launch_us = local->second.launch_us;
  const bool known = rates.put_gbps > 0 && rates.flag_us > 0 && rates.local_gbps > 0 &&
                     rates.exchange_us < kUnknown && rates.launch_us < kUnknown;
  return known ? std::optional(rates) : std::nullopt;
}

std::optional<CaseFloor> floor_of(const OpResult& op, const Case& one, const FloorsFile& floors) {
  const auto rates = floors.rates(one);
  if (!rates || op.floor_work.wire.empty()) return std::nullopt;
  CaseFloor floor{.rates = *rates};
  for (std::size_t rank = 0; rank < op.floor_work.wire.size(); ++rank) {
    const auto us = [](std::uint64_t bytes, double gbps) {
      return static_cast<double>(bytes) * kUsPerByteAtOneGbps / gbps;
    };
    const double wire_us = us(op.floor_work.wire[rank], rates->put_gbps);
    const double memory_us = us(op.floor_work.memory[rank], rates->local_gbps);
    if (wire_us + memory_us < floor.wire_us + floor.memory_us) continue;
    floor.wire_us = wire_us;
    floor.memory_us = memory_us;
  }
  const int num_flags = op.op == Op::kPair ? 2 : 1;
  const double flags_us = num_flags * rates->flag_us;
  const double exchange_us = num_flags * rates->exchange_us;
  const double launches_us = num_launches(one, op.op) * rates->launch_us;
  floor.device_us = floor.wire_us + floor.memory_us + flags_us;
  std::vector<std::pair<double, const char*>> parts = {
      {floor.wire_us, "wire"}, {floor.memory_us, "memory"}, {flags_us, "flag"}};
  if (one.shape.max_tokens < kFewTokens && exchange_us > floor.device_us) {
    floor.device_us = exchange_us;
    parts = {{exchange_us, "exchange"}};
  }
  parts.emplace_back(launches_us, "launch");
  floor.host_us = floor.device_us + launches_us;
  floor.limited_by = std::max_element(parts.begin(), parts.end())->second;
  return floor;
}

double floor_ratio(const OpResult& op, const CaseFloor& floor) {
  return summarize(max_over_ranks(op.us)).p50 / floor.host_us;
}

std::string floor_lines(const CaseResult& result, const FloorsFile& floors) {
  std::string text;
  for (const OpResult& op : result.ops) {
    const auto floor = measured(op) ? floor_of(op, result.which, floors) : std::nullopt;
    if (!floor) continue;
    text += fmt::format("  {}: {:.2f} x its floor of {:.2f} us, limited by {}\n", to_string(op.op),
                        floor_ratio(op, *floor), floor->host_us, floor->limited_by);
  }
  return text;
}

}  // namespace llep
