// SPDX-License-Identifier: MIT
#include "bench/export_formats.hpp"

#include <fmt/format.h>

#include "bench/metrics.hpp"
#include "bench/result_writer.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNsPerUs = 1e3;
constexpr double kUsPerSecond = 1e6;

Json google_repetition(const Json& common, const std::vector<double>& repetitions, std::size_t i,
                       std::int64_t iterations) {
  Json entry = common;
  entry["run_type"] = "iteration";
  entry["repetitions"] = repetitions.size();
  entry["repetition_index"] = i;
  entry["threads"] = 1;
  entry["iterations"] = iterations / static_cast<std::int64_t>(repetitions.size());
  entry["real_time"] = repetitions[i];
  entry["cpu_time"] = repetitions[i];
  entry["time_unit"] = "us";
  return entry;
}

Json google_aggregate(const Json& common, const char* aggregate, double us, const Summary& of) {
  Json entry = common;
  entry["name"] = fmt::format("{}_{}", common["name"].get<std::string>(), aggregate);
  entry["run_type"] = "aggregate";
  entry["repetitions"] = of.samples;
  entry["threads"] = 1;
  entry["aggregate_name"] = aggregate;
  entry["aggregate_unit"] = "time";
  entry["iterations"] = of.samples;
  entry["real_time"] = us;
  entry["cpu_time"] = us;
  entry["time_unit"] = "us";
  return entry;
}

void add_google_entries(const ResultEntry& entry, std::size_t index, Json& entries) {
  const Json common = {{"name", entry.name},
                       {"family_index", index},
                       {"per_family_instance_index", 0},
                       {"run_name", entry.name}};
  const bool trials = !entry.trial_p50_us.empty();
  const auto repetitions = trials ? entry.trial_p50_us : std::vector<double>{entry.us->p50};
  for (std::size_t i = 0; i < repetitions.size(); ++i) {
    entries.push_back(google_repetition(common, repetitions, i, entry.us->samples));
  }
  const Summary of = trials ? summarize(repetitions) : *entry.us;
  entries.push_back(google_aggregate(common, "mean", of.avg, of));
  entries.push_back(google_aggregate(common, "median", of.p50, of));
  entries.push_back(google_aggregate(common, "stddev", of.stdev, of));
}

/// What a dashboard collects under one name is of one executor, and of hardware or its stand-in.
std::string chart_name(const ResultFile& result, const ResultEntry& entry) {
  std::string name = entry.name;
  if (result.context.at("executor") == "host") name += "/host";
  for (const std::string& one : result.stand_ins_of(entry)) name += "/" + one;
  return name;
}

/// What a chart shows beside its point.
std::string action_extra(const ResultFile& result, const ResultEntry& entry) {
  std::string text = fmt::format(
      "min {:.2f} us, p95 {:.2f} us, max {:.2f} us of {} iterations\n{}\n{}", entry.us->min,
      entry.us->p95, entry.us->max, entry.us->samples, result.where(), result.revision());
  for (const std::string& warning : result.warnings()) text += "\nwarning: " + warning;
  return text;
}

/// GB/s of rows as DeepEP counts them, over ranks.
std::optional<Spread> bandwidth_of(const ResultEntry& entry) {
  const auto value = [&](const char* of) {
    return value_at(entry.json, fmt::format("/bandwidth_gbps/logical_per_rank/{}", of));
  };
  const Json min = value("min");
  const Json avg = value("avg");
  const Json max = value("max");
  if (!min.is_number() || !avg.is_number() || !max.is_number()) return std::nullopt;
  return Spread{.min = min, .avg = avg, .max = max};
}

Json bencher_measures(const ResultEntry& entry) {
  const auto measure = [](double value, double lower, double upper) {
    return Json{{"value", value}, {"lower_value", lower}, {"upper_value", upper}};
  };
  const Summary& us = *entry.us;
  Json measures;
  measures["latency"] = measure(us.p50 * kNsPerUs, us.min * kNsPerUs, us.p95 * kNsPerUs);
  measures["throughput"] =
      measure(kUsPerSecond / us.p50, kUsPerSecond / us.p95, kUsPerSecond / us.min);
  if (const auto gbps = bandwidth_of(entry)) {
    measures["bandwidth-gbps"] = measure(gbps->avg, gbps->min, gbps->max);
  }
  return measures;
}

}  // namespace

std::string google_benchmark_text(const ResultFile& result) {
  Json entries = Json::array();
  for (std::size_t i = 0; i < result.entries.size(); ++i) {
    add_google_entries(result.entries[i], i, entries);
  }
  const Json context = {{"date", value_at(result.context, "/start_time")},
                        {"host_name", value_at(result.context, "/hosts/0")},
                        {"executable", "llep"},
                        {"llep_version", value_at(result.context, "/llep_version")},
                        {"git_revision", result.revision()},
                        {"measured_on", result.where()},
                        {"warnings", result.warnings()}};
  return document_text({{"context", context}, {"benchmarks", entries}});
}

std::string action_latency_text(const ResultFile& result) {
  Json entries = Json::array();
  for (const ResultEntry& entry : result.entries) {
    entries.push_back({{"name", chart_name(result, entry)},
                       {"unit", "us"},
                       {"value", entry.us->p50},
                       {"range", fmt::format("± {:.2f}", entry.us->stdev)},
                       {"extra", action_extra(result, entry)}});
  }
  return document_text(entries);
}

std::string action_bandwidth_text(const ResultFile& result) {
  Json entries = Json::array();
  for (const ResultEntry& entry : result.entries) {
    const auto gbps = bandwidth_of(entry);
    if (!gbps) continue;
    entries.push_back({{"name", chart_name(result, entry)},
                       {"unit", "GB/s"},
                       {"value", gbps->avg},
                       {"range", fmt::format("{:.2f} to {:.2f}", gbps->min, gbps->max)},
                       {"extra", action_extra(result, entry)}});
  }
  return document_text(entries);
}

std::string bencher_text(const ResultFile& result) {
  Json document = Json::object();
  for (const ResultEntry& entry : result.entries) {
    document[chart_name(result, entry)] = bencher_measures(entry);
  }
  return document_text(document);
}

}  // namespace llep
