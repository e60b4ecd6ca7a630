// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/options.hpp"
#include "bench/result.hpp"

namespace llep {

/// What a gate found, in the case that is worst by it.
struct GateResult {
  std::string gate = {};  // "max-latency-us dispatch:p50:40"
  bool passed = false;
  std::optional<double> worst = {};  // us or GB/s; nothing: no case has the number
  std::string name = {};             // of that case's benchmark
  std::size_t not_measured = 0;      // cases that should have had the number
};

/// A gate must be about something that is measured. Throws Error(kUsage).
void check_gates_fit(const RunOptions& options);

/// Each gate holds for every case. One that lacks a case is missed: what was skipped must not pass
/// for fast.
std::vector<GateResult> check_gates(const std::vector<CaseResult>& results,
                                    const RunOptions& options);

/// "gate max-latency-us dispatch:p50:40: missed: 47.2 in dispatch/ipc/...". Ends in a newline.
std::string gate_line(const GateResult& result);

}  // namespace llep
