// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "bench/result_file.hpp"

namespace llep {

/// What is resampled: trials of one process share its luck (placement, clocks, addresses), so that
/// with several files a side each run is one unit.
enum class Unit { kTrial, kRun };
const char* to_string(Unit unit);

/// What the files of one side say of one benchmark.
struct SideUnits {
  std::vector<double> us;  // a unit's median each
  bool failed = false;     // wrong data, or the case ended in an error, in one of the files
  std::string reason;      // of a failure, or why there are no units
};

struct MatchedBenchmark {
  std::string name;
  SideUnits base;
  SideUnits next;
};

struct Matching {
  Unit unit = Unit::kTrial;
  bool lacks_trials = false;           // an entry has its p50 as its single unit
  std::vector<MatchedBenchmark> both;  // in the order of the base
  std::vector<std::string> only_base;
  std::vector<std::string> only_next;
};

using ResultFiles = std::vector<ResultFile>;

/// Pairs entries by name.
Matching match(const ResultFiles& base, const ResultFiles& next);

/// Where files differ from the first base file: "context.world_size: 2 in a.json, 4 in b.json".
/// What makes numbers incomparable: hardware, executor, stand-ins, what carried rows, traces ...
std::vector<std::string> incomparable(const ResultFiles& base, const ResultFiles& next);
/// ... and what a reader should know: drivers, MPI, options, and of hardware what one side does not
/// tell.
std::vector<std::string> different(const ResultFiles& base, const ResultFiles& next);

}  // namespace llep
