// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "bench/compare_verdict.hpp"
#include "common/error.hpp"

namespace llep {

struct CompareOptions {
  std::vector<std::string> base;  // results files
  std::vector<std::string> next;
  CompareRules rules;
  bool strict = false;   // what could not be judged is exit code 6
  bool force = false;    // compare what was measured on different hardware
  std::string json;      // empty: none
  std::string markdown;  // empty: none
};

/// Compares results of two builds: kRegression if a benchmark got slower or fails since. Throws
/// Error(kUsage).
ExitCode compare_command(const CompareOptions& options);

}  // namespace llep
