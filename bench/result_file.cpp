// SPDX-License-Identifier: MIT
#include "bench/result_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "bench/option_values.hpp"
#include "bench/report_json.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

std::string text_or_empty(const Json& value) {
  return value.is_null() ? "" : value.get<std::string>();
}

/// A list of texts; empty where there is none.
std::vector<std::string> texts(const Json& context, const std::string& pointer) {
  std::vector<std::string> list;
  for (const Json& text : value_at(context, pointer)) list.push_back(text.get<std::string>());
  return list;
}

/// A time is positive: ratios are taken of it.
double time_us(const Json& value, const std::string& entry, const char* field) {
  const double us = value.is_number() ? value.get<double>() : 0;
  if (!(us > 0) || !std::isfinite(us)) {
    usage_error(fmt::format("{}: {} is {}, not a time above 0", entry, field, value.dump()));
  }
  return us;
}

/// What export and compare read of it.
std::optional<Summary> read_summary(const Json& entry, const std::string& name) {
  const Json times = value_at(entry, "/latency_us/cross_rank_max");
  if (times.is_null()) return std::nullopt;
  Summary summary;
  summary.samples = times.at("samples").get<std::int64_t>();
  summary.min = time_us(times.at("min"), name, "min");
  summary.avg = time_us(times.at("avg"), name, "avg");
  summary.p50 = time_us(times.at("p50"), name, "p50");
  summary.p90 = time_us(times.at("p90"), name, "p90");
  summary.p95 = time_us(times.at("p95"), name, "p95");
  summary.max = time_us(times.at("max"), name, "max");
  summary.stdev = times.at("stdev").get<double>();
  return summary;
}

ResultEntry read_entry(const Json& json) {
  ResultEntry entry;
  entry.name = json.at("name").get<std::string>();
  entry.status = json.at("status").get<std::string>();
  entry.reason = text_or_empty(json.at("reason"));
  const Json passed = value_at(json, "/correctness/passed");
  if (!passed.is_null()) entry.passed = passed.get<bool>();
  entry.us = read_summary(json, entry.name);
  for (const Json& us : value_at(json, "/trial_p50_us")) {
    entry.trial_p50_us.push_back(time_us(us, entry.name, "trial_p50_us"));
  }
  entry.json = json;
  return entry;
}

Json load(const std::string& path, const std::string& kind) {
  std::ifstream file(path);
  if (!file) usage_error(std::strerror(errno));
  Json document = Json::parse(file);
  if (!document.is_object() || !document.contains("schema_version")) {
    usage_error("no results file: it has no schema_version");
  }
  if (document["schema_version"] != kSchemaVersion) {
    usage_error(fmt::format("schema_version is {}, this llep reads {}",
                            document["schema_version"].dump(), kSchemaVersion));
  }
  const Json found = document.value("kind", Json("run"));
  if (found != kind) {
    usage_error(fmt::format("kind is {}, but only results of llep {} can be read", found.dump(),
                            kind));
  }
  return document;
}

ResultFile result_of(const std::string& path, const Json& document) {
  ResultFile result;
  result.path = path;
  result.complete = document.at("complete").get<bool>();
  result.context = document.at("context");
  std::set<std::string> names;
  for (const Json& json : document.at("benchmarks")) {
    result.entries.push_back(read_entry(json));
    const std::string& name = result.entries.back().name;
    if (!names.insert(name).second) usage_error(fmt::format("{} is there twice", name));
  }
  result.where();  // throws here, while the file's name can still be said
  return result;
}

}  // namespace

Json value_at(const Json& from, const std::string& pointer) {
  const Json::json_pointer where(pointer);
  return from.contains(where) ? from.at(where) : Json(nullptr);
}

std::string ResultFile::revision() const {
  const std::string revision = text_or_empty(value_at(context, "/git_revision"));
  return revision.empty() ? "unknown revision" : revision;
}

std::string ResultFile::where() const {
  std::map<std::string, int> counts;
  for (const Json& device : context.at("devices")) ++counts[device.at("name").get<std::string>()];
  std::string devices;
  for (const auto& [name, count] : counts) {
    devices += fmt::format("{}{} x {}", devices.empty() ? "" : ", ", count, name);
  }
  const int nodes = context.at("num_nodes").get<int>();
  const auto stand_ins = texts(context, "/stand_ins");
  return fmt::format("{} executor, {}, {} ranks on {} node{}{}{}",
                     context.at("executor").get<std::string>(), devices,
                     context.at("world_size").get<int>(), nodes, nodes == 1 ? "" : "s",
                     stand_ins.empty() ? "" : ", stand-ins: ", fmt::join(stand_ins, ", "));
}

std::vector<std::string> ResultFile::stand_ins_of(const ResultEntry& entry) const {
  return entry.json.at("transport") == "ipc" ? std::vector<std::string>()
                                             : texts(context, "/stand_ins");
}

std::vector<std::string> ResultFile::warnings() const { return texts(context, "/warnings"); }

bool same_run(const ResultFile& a, const ResultFile& b) {
  return a.context == b.context &&
         std::equal(a.entries.begin(), a.entries.end(), b.entries.begin(), b.entries.end(),
                    [](const ResultEntry& x, const ResultEntry& y) { return x.json == y.json; });
}

ResultFile read_result(const std::string& path) {
  ResultFile result;
  read_results_json(path, "run", [&](const Json& document) { result = result_of(path, document); });
  return result;
}

void read_results_json(const std::string& path, const std::string& kind,
                       const std::function<void(const Json&)>& use) {
  std::string what;
  try {
    return use(load(path, kind));
  } catch (const Error& error) {
    what = error.what();
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 3, ...": the bracket helps nobody.
    what = error.what();
    what.erase(0, std::min(what.size(), what.find("] ") + 2));
  }
  usage_error(fmt::format("results file {}: {}", path, what));
}

}  // namespace llep
