// SPDX-License-Identifier: MIT
#pragma once

#include <fstream>
#include <string>

#include "bench/options.hpp"
#include "bench/result.hpp"

namespace llep {

/// Every rank's times as CSV (RFC 4180): name, trial, iteration, rank, us. On rank 0. What was
/// added is in the file.
class SamplesWriter {
 public:
  /// Replaces the file of --samples. Throws Error(kUsage) with path and cause, as add() does.
  explicit SamplesWriter(const RunOptions& options);

  void add(const CaseResult& result, int trial);

 private:
  void write(const std::string& text);

  const RunOptions& options_;
  std::ofstream file_;
};

}  // namespace llep
