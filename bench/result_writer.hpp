// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/case_floor.hpp"
#include "bench/context.hpp"
#include "bench/gate_check.hpp"
#include "bench/health.hpp"
#include "bench/options.hpp"
#include "bench/result.hpp"
#include "bench/transports.hpp"

namespace llep {

/// results/local/<UTC time>.json, with a number appended where that is taken.
std::filesystem::path default_result_path();

/// JSON has no NaN and no infinity; nlohmann writes them as null by itself.
std::string document_text(const nlohmann::ordered_json& document);

/// Replaces `path` by `text` in one step: readers see the old file or the new one, and a failure
/// leaves nothing behind. Creates missing folders. Throws Error(kUsage) with path and cause.
void write_atomically(const std::filesystem::path& path, const std::string& text);

/// The results file of one command, on rank 0. It is whole after every call and says
/// `"complete": false` until finish().
class ResultDocument {
 public:
  /// Writes the file for the first time, so that a path of no use is known before anything is
  /// measured. Of which kind it is and what its entries are called follows from the subcommand.
  ResultDocument(std::filesystem::path path, const ContextInfo& context, const RunOptions& options);

  void add(nlohmann::ordered_json entries, const std::vector<ErrorRecord>& errors);
  void add(const ErrorRecord& error);  // of no entry
  /// Like add; entries replace those that have their names.
  void put(nlohmann::ordered_json entries, const std::vector<ErrorRecord>& errors);
  /// Replaces what is known of the transport of that name.
  void set(const TransportSummary& transport);
  void set(const std::vector<GateResult>& gates);
  /// Replaces what is known of the GPUs, and the warnings.
  void set(const RanksHealth& ranks);
  void finish();

  const std::filesystem::path& path() const { return path_; }

 private:
  void write() const;

  std::filesystem::path path_;
  std::string entries_;  // "benchmarks" or "floors"
  nlohmann::ordered_json document_;
};

/// That of `llep run`.
class ResultWriter : public ResultDocument {
 public:
  ResultWriter(std::filesystem::path path, ContextInfo context, RunOptions options);

  /// In place of what fewer trials of the case had given.
  void put(const CaseResult& result, const Floors* floors = nullptr);

 private:
  ContextInfo context_;
  RunOptions options_;
};

}  // namespace llep
