// SPDX-License-Identifier: MIT
#include "common/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "common/error.hpp"

namespace llep {
namespace {

/// In integers: 99.9 / 100 * 1000 in floating point is a little above 999, and its ceiling 1000.
double nearest_rank(std::span<const double> sorted, std::size_t per_mille) {
  return sorted[(per_mille * sorted.size() + 999) / 1000 - 1];
}

std::vector<double> fold_ranks(const std::vector<std::vector<double>>& per_rank,
                               const std::function<double(double, double)>& fold) {
  if (per_rank.empty()) throw Error(ExitCode::kInternal, "statistics: no ranks");
  std::vector<double> result = per_rank.front();
  for (std::size_t rank = 1; rank < per_rank.size(); ++rank) {
    const std::vector<double>& samples = per_rank[rank];
    if (samples.size() != result.size()) {
      throw Error(ExitCode::kInternal,
                  fmt::format("statistics: rank {} has {} samples, rank 0 has {}", rank,
                              samples.size(), result.size()));
    }
    std::transform(result.begin(), result.end(), samples.begin(), result.begin(), fold);
  }
  return result;
}

}  // namespace

Summary summarize(std::span<const double> samples) {
  if (samples.empty()) throw Error(ExitCode::kInternal, "statistics: no samples");
  if (!std::all_of(samples.begin(), samples.end(), [](double x) { return std::isfinite(x); })) {
    throw Error(ExitCode::kInternal, "statistics: a sample is not a finite number");
  }
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const double min = sorted.front();
  const auto count = static_cast<double>(sorted.size());

  // Summed as distances from the minimum: equal samples have exactly that average and stdev 0.
  double distance = 0;
  for (const double x : sorted) distance += x - min;
  const double avg = min + distance / count;
  double squares = 0;
  for (const double x : sorted) squares += (x - avg) * (x - avg);

  Summary summary{.samples = static_cast<std::int64_t>(sorted.size()),
                  .min = min,
                  .avg = avg,
                  .p50 = nearest_rank(sorted, 500),
                  .p90 = nearest_rank(sorted, 900),
                  .p95 = nearest_rank(sorted, 950),
                  .max = sorted.back(),
                  .stdev = sorted.size() > 1 ? std::sqrt(squares / (count - 1)) : 0,
                  .p99 = std::nullopt,
                  .p99_9 = std::nullopt};
  if (sorted.size() >= 100) summary.p99 = nearest_rank(sorted, 990);
  if (sorted.size() >= 1000) summary.p99_9 = nearest_rank(sorted, 999);
  return summary;
}

Histogram histogram_of(std::span<const double> samples) {
  if (samples.empty()) throw Error(ExitCode::kInternal, "statistics: no samples");
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  Histogram histogram{.from = *least,
                      .width = (*most - *least) / kHistogramBins,
                      .counts = std::vector<std::int64_t>(kHistogramBins)};
  for (const double x : samples) {
    const double at = histogram.width > 0 ? (x - *least) / histogram.width : 0;
    // The greatest sample is the end of the last interval.
    ++histogram.counts[std::min<std::size_t>(static_cast<std::size_t>(at), kHistogramBins - 1)];
  }
  return histogram;
}

std::vector<double> max_over_ranks(const std::vector<std::vector<double>>& per_rank) {
  return fold_ranks(per_rank, [](double a, double b) { return std::max(a, b); });
}

std::vector<double> mean_over_ranks(const std::vector<std::vector<double>>& per_rank) {
  std::vector<double> mean = fold_ranks(per_rank, std::plus<>());
  for (double& x : mean) x /= static_cast<double>(per_rank.size());
  return mean;
}

}  // namespace llep
