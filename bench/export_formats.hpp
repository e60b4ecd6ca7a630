// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "bench/result_file.hpp"

/// A results file in the formats of others. All but csv_text() expect entries with times only.
namespace llep {

/// JSON of Google Benchmark (docs/user_guide.md there), for its tools/compare.py: trials are
/// repetitions; without trials the one repetition is the median over iterations. `cpu_time` must be
/// there: it repeats the time, CPU time is not measured.
std::string google_benchmark_text(const ResultFile& result);

/// For github-action-benchmark: `customSmallerIsBetter` and `customBiggerIsBetter`. Here and in
/// bencher_text() the names of the host executor's results end in "/host", of those over stand-ins
/// in their names: "/softmlx5".
std::string action_latency_text(const ResultFile& result);
std::string action_bandwidth_text(const ResultFile& result);

/// Bencher Metric Format: `latency` in ns and `throughput` in operations per second, the units
/// Bencher has for these names, and `bandwidth-gbps`.
std::string bencher_text(const ResultFile& result);

/// RFC 4180: a row per entry, whatever its status; unknown is empty. Several stand-ins or warnings
/// are parted by "; ".
std::string csv_text(const ResultFile& result);

std::string markdown_text(const ResultFile& result);

}  // namespace llep
