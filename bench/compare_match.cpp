// SPDX-License-Identifier: MIT
#include "bench/compare_match.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

const ResultEntry* find(const ResultFile& file, const std::string& name) {
  const auto found = std::find_if(file.entries.begin(), file.entries.end(),
                                  [&](const ResultEntry& entry) { return entry.name == name; });
  return found == file.entries.end() ? nullptr : &*found;
}

bool has(const ResultFiles& files, const std::string& name) {
  return std::any_of(files.begin(), files.end(),
                     [&](const ResultFile& file) { return find(file, name) != nullptr; });
}

/// All names, in the order of the first file that has them.
std::vector<std::string> names_of(const ResultFiles& files) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (const ResultEntry& entry : files[i].entries) {
      const auto earlier = files.begin() + static_cast<std::ptrdiff_t>(i);
      const bool known = std::any_of(files.begin(), earlier, [&](const ResultFile& file) {
        return find(file, entry.name) != nullptr;
      });
      if (!known) names.push_back(entry.name);
    }
  }
  return names;
}

SideUnits units_of(const ResultFiles& files, const std::string& name, Unit unit) {
  SideUnits side;
  for (const ResultFile& file : files) {
    const ResultEntry* entry = find(file, name);
    if (entry == nullptr) continue;
    const bool failed = entry->passed == false || entry->status == "failed";
    side.failed = side.failed || failed;
    if (failed || !entry->quotable()) {
      side.reason = entry->reason.empty() ? "no times" : entry->reason;
    } else if (unit == Unit::kTrial && !entry->trial_p50_us.empty()) {
      side.us = entry->trial_p50_us;
    } else {
      side.us.push_back(entry->us->p50);
    }
  }
  return side;
}

bool lacks_trials(const ResultFiles& files, const std::string& name) {
  const ResultEntry* entry = find(files.front(), name);
  return entry->quotable() && entry->trial_p50_us.empty();
}

struct Condition {
  std::string name;
  std::function<Json(const ResultFile&)> value;
};

Condition at(const std::string& pointer, const std::string& name) {
  return {name, [=](const ResultFile& file) { return value_at(file.context, pointer); }};
}

Condition device_names() {
  return {"context.devices", [](const ResultFile& file) {
            Json names = Json::array();
            for (const Json& device : file.context.at("devices"))
              names.push_back(device.at("name"));
            return names;
          }};
}

std::vector<std::string> differences(const std::vector<Condition>& conditions,
                                     const ResultFiles& base, const ResultFiles& next) {
  std::vector<std::string> lines;
  const ResultFile& first = base.front();
  for (const Condition& condition : conditions) {
    const Json expected = condition.value(first);
    const auto compare = [&](const ResultFile& file) {
      const Json value = condition.value(file);
      if (value == expected) return;
      lines.push_back(fmt::format("{}: {} in {}, {} in {}", condition.name, expected.dump(),
                                  first.path, value.dump(), file.path));
    };
    std::for_each(base.begin() + 1, base.end(), compare);
    std::for_each(next.begin(), next.end(), compare);
  }
  return lines;
}

}  // namespace

const char* to_string(Unit unit) { return unit == Unit::kTrial ? "trial" : "run"; }

Matching match(const ResultFiles& base, const ResultFiles& next) {
  Matching matching;
  matching.unit = base.size() > 1 || next.size() > 1 ? Unit::kRun : Unit::kTrial;
  for (const std::string& name : names_of(base)) {
    if (!has(next, name)) {
      matching.only_base.push_back(name);
      continue;
    }
    matching.both.push_back({.name = name,
                             .base = units_of(base, name, matching.unit),
                             .next = units_of(next, name, matching.unit)});
    if (matching.unit == Unit::kTrial && (lacks_trials(base, name) || lacks_trials(next, name))) {
      matching.lacks_trials = true;
    }
  }
  for (const std::string& name : names_of(next)) {
    if (!has(base, name)) matching.only_next.push_back(name);
  }
  return matching;
}

std::vector<std::string> incomparable(const ResultFiles& base, const ResultFiles& next) {
  const std::vector<Condition> conditions = {device_names(),
                                             at("/world_size", "context.world_size"),
                                             at("/num_nodes", "context.num_nodes"),
                                             at("/executor", "context.executor"),
                                             at("/shared_gpus", "context.shared_gpus"),
                                             at("/stand_ins", "context.stand_ins")};
  return differences(conditions, base, next);
}

std::vector<std::string> different(const ResultFiles& base, const ResultFiles& next) {
  std::vector<Condition> conditions = {at("/cuda_driver", "context.cuda_driver"),
                                       at("/cuda_runtime", "context.cuda_runtime"),
                                       at("/mpi_library", "context.mpi_library")};
  for (const char* option : {"trials", "iters", "warmup", "chain", "check", "seed", "host-blocks",
                             "host-warps", "inject", "flush-l2", "device-clock", "overlap-us"}) {
    conditions.push_back(
        at(fmt::format("/arguments/{}", option), fmt::format("context.arguments.{}", option)));
  }
  return differences(conditions, base, next);
}

}  // namespace llep
