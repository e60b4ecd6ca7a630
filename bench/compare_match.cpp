// SPDX-License-Identifier: MIT
#include "bench/compare_match.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>

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
  std::function<Json(const ResultFile&)> value;  // null: not known, or not given
};

/// Whether what differs is to be said.
using Counts = bool (*)(const Json& expected, const Json& value);
bool always(const Json&, const Json&) { return true; }
bool both_known(const Json& a, const Json& b) { return !a.is_null() && !b.is_null(); }
bool one_known(const Json& a, const Json& b) { return a.is_null() != b.is_null(); }

Condition at(const std::string& name) {
  return {"context." + name,
          [=](const ResultFile& file) { return file.context.value(name, Json()); }};
}

Condition device_names() {
  return {"context.devices", [](const ResultFile& file) {
            Json names = Json::array();
            for (const Json& device : file.context.at("devices"))
              names.push_back(device.at("name"));
            return names;
          }};
}

std::vector<Condition> hardware() {
  std::vector<Condition> conditions = {device_names()};
  for (const char* field :
       {"world_size", "num_nodes", "nodes", "executor", "shared_gpus", "stand_ins", "processors"}) {
    conditions.push_back(at(field));
  }
  return conditions;
}

/// Of a transport what the field says.
Condition of_transport(const std::string& transport, const std::string& field) {
  return {fmt::format("context.transports.{}.{}", transport, field), [=](const ResultFile& file) {
            for (const Json& one : value_at(file.context, "/transports")) {
              if (one.at("name") == transport) return one.value(field, Json());
            }
            return Json();
          }};
}

/// What really carried rows between ranks: ["fifo-mpi", "ipc"].
Condition carriers(const std::string& transport) {
  Condition condition = of_transport(transport, "paths");
  condition.value = [paths = condition.value](const ResultFile& file) {
    std::set<std::string> kinds;
    for (const Json& from : paths(file)) {
      for (const Json& to : from) kinds.insert(to.get<std::string>());
    }
    kinds.erase("self");
    kinds.erase("none");
    return kinds.empty() ? Json() : Json(kinds);
  };
  return condition;
}

std::vector<std::string> transports_of(const ResultFile& file) {
  std::vector<std::string> names;
  for (const Json& one : value_at(file.context, "/transports")) {
    names.push_back(one.at("name").get<std::string>());
  }
  return names;
}

using Names = std::set<std::string>;
Names keys_of(const ResultFiles& files, const char* object) {
  Names names;
  for (const ResultFile& file : files) {
    const Json fields = file.context.value(object, Json::object());
    for (const auto& field : fields.items()) names.insert(field.key());
  }
  return names;
}

/// Each field that an object of the context has in one of the files.
void add_fields(const char* object, const ResultFiles& base, const ResultFiles& next,
                std::vector<Condition>& conditions) {
  Names names = keys_of(base, object);
  names.merge(keys_of(next, object));
  for (const std::string& name : names) {
    conditions.push_back({fmt::format("context.{}.{}", object, name), [=](const ResultFile& file) {
                            return file.context.value(object, Json::object()).value(name, Json());
                          }});
  }
}

/// Of lists as long as each other the first elements that differ.
std::string difference(std::string name, Json a, const std::string& a_path, Json b,
                       const std::string& b_path) {
  if (a.is_array() && b.is_array() && a.size() == b.size()) {
    std::size_t i = 0;
    while (a[i] == b[i]) ++i;
    name += fmt::format("[{}]", i);
    a = Json(a[i]);
    b = Json(b[i]);
  }
  return fmt::format("{}: {} in {}, {} in {}", name, a.dump(), a_path, b.dump(), b_path);
}

std::vector<std::string> differences(const std::vector<Condition>& conditions,
                                     const ResultFiles& base, const ResultFiles& next,
                                     Counts counts) {
  std::vector<std::string> lines;
  const ResultFile& first = base.front();
  for (const Condition& condition : conditions) {
    const Json expected = condition.value(first);
    const auto compare = [&](const ResultFile& file) {
      const Json value = condition.value(file);
      if (value == expected || !counts(expected, value)) return;
      lines.push_back(difference(condition.name, expected, first.path, value, file.path));
    };
    std::for_each(base.begin() + 1, base.end(), compare);
    std::for_each(next.begin(), next.end(), compare);
  }
  return lines;
}

/// Options that say what becomes of the numbers, not what they are numbers of.
constexpr std::array kOutputOptions = {"json",    "samples", "floors",         "anonymous",
                                       "verbose", "dry-run", "max-latency-us", "min-bw"};

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
  std::vector<Condition> conditions = hardware();
  for (const std::string& transport : transports_of(base.front())) {
    conditions.push_back(carriers(transport));
    conditions.push_back(of_transport(transport, "adapters"));
  }
  add_fields("traces", base, next, conditions);
  return differences(conditions, base, next, both_known);
}

std::vector<std::string> different(const ResultFiles& base, const ResultFiles& next) {
  std::vector<std::string> lines = differences(hardware(), base, next, one_known);
  const auto append = [&](const std::vector<Condition>& conditions, Counts counts) {
    const auto more = differences(conditions, base, next, counts);
    lines.insert(lines.end(), more.begin(), more.end());
  };
  std::vector<Condition> descriptions;
  for (const std::string& transport : transports_of(base.front())) {
    descriptions.push_back(of_transport(transport, "descriptions"));
  }
  append(descriptions, both_known);
  append({at("nvidia_driver"), at("cuda_driver"), at("cuda_runtime"), at("mpi_library")}, always);
  std::vector<Condition> settings;
  add_fields("arguments", base, next, settings);
  std::erase_if(settings, [](const Condition& one) {
    return std::any_of(kOutputOptions.begin(), kOutputOptions.end(), [&](const char* option) {
      return one.name == fmt::format("context.arguments.{}", option);
    });
  });
  append(settings, always);
  return lines;
}

}  // namespace llep
