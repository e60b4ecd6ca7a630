// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/statistics.hpp"

namespace llep {

/// One entry of a results file's `benchmarks`.
struct ResultEntry {
  std::string name;
  std::string status;  // ok, failed or skipped
  std::string reason;  // empty where nothing went wrong
  std::optional<bool> passed;
  std::optional<Summary> us;         // latency_us.cross_rank_max
  std::vector<double> trial_p50_us;  // empty: the file has none
  nlohmann::ordered_json json;       // all of it

  /// Whether its times may be quoted.
  bool quotable() const { return status == "ok" && us.has_value(); }
};

/// What `llep run` wrote.
struct ResultFile {
  std::string path;
  bool complete = false;
  nlohmann::ordered_json context;
  std::vector<ResultEntry> entries;

  /// "0123456789ab", or "unknown revision".
  std::string revision() const;
  /// "cuda executor, 2 x NVIDIA H200, 2 ranks on 1 node, stand-ins: softmlx5".
  std::string where() const;
  /// Software in place of hardware that an entry's rows travelled over. ipc has none.
  std::vector<std::string> stand_ins_of(const ResultEntry& entry) const;
  /// What a reader must know of the run: "rank 3: its GPU was throttled (sw_power_cap)".
  std::vector<std::string> warnings() const;
};

/// Whether they say the same: two copies of a file.
bool same_run(const ResultFile& a, const ResultFile& b);

/// Of llep run. Throws like read_results_json.
ResultFile read_result(const std::string& path);

/// Hands the document of a file of llep run or llep floors (`kind`) to `use`. Throws Error(kUsage) in
/// one line that begins with the path: not there, not JSON, another kind, another schema version,
/// and what `use` throws of them.
void read_results_json(const std::string& path, const std::string& kind,
                       const std::function<void(const nlohmann::ordered_json&)>& use);

/// The value that a JSON pointer ("/latency_us/clock") finds; null where there is none.
nlohmann::ordered_json value_at(const nlohmann::ordered_json& from, const std::string& pointer);

}  // namespace llep
