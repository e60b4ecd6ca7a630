// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llep {

/// One set of samples, in the samples' unit.
///
/// Percentiles are by nearest rank: p_q is the ceil(q / 100 * n)-th smallest of n samples, so each
/// is a value that was measured. Those that so few samples cannot tell from the maximum are empty.
struct Summary {
  std::int64_t samples = 0;
  double min = 0;
  double avg = 0;
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double max = 0;
  double stdev = 0;             // of a sample (n - 1); 0 for one sample
  std::optional<double> p99;    // from 100 samples on
  std::optional<double> p99_9;  // from 1000 samples on
};

/// Throws Error(kInternal) if there are no samples, or one is not a finite number.
Summary summarize(std::span<const double> samples);

/// Equal intervals from the least sample to the greatest, each with its own lower end.
struct Histogram {
  double from = 0;
  double width = 0;  // 0: all samples are equal, and in the first interval
  std::vector<std::int64_t> counts;
};
inline constexpr int kHistogramBins = 20;

/// Throws Error(kInternal) if there are no samples.
Histogram histogram_of(std::span<const double> samples);

/// per_rank: [num_ranks][num_iterations]; the result: [num_iterations].
/// Throws Error(kInternal) if there are no ranks, or they differ in length.
std::vector<double> max_over_ranks(const std::vector<std::vector<double>>& per_rank);
std::vector<double> mean_over_ranks(const std::vector<std::vector<double>>& per_rank);

}  // namespace llep
