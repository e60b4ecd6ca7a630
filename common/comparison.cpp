// SPDX-License-Identifier: MIT
#include "common/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "common/error.hpp"
#include "common/mix64.hpp"

namespace llep {
namespace {

constexpr std::size_t kMostExactPairs = 400;

/// How many of all orders of n and m values without ties have each U: the coefficients of the
/// Gaussian binomial of (n + m, n). Below 2^53 for n * m <= 400, so exact.
std::vector<double> u_counts(std::size_t n, std::size_t m) {
  std::vector<double> counts(n * m + 1);
  counts[0] = 1;
  for (std::size_t i = 1; i <= n; ++i) {
    for (std::size_t u = counts.size(); u-- > m + i;) counts[u] -= counts[u - m - i];
    for (std::size_t u = i; u < counts.size(); ++u) counts[u] += counts[u - i];
  }
  return counts;
}

/// u: the smaller of the two.
double exact_p(double u, std::size_t n, std::size_t m) {
  const std::vector<double> counts = u_counts(n, m);
  const auto end = counts.begin() + static_cast<std::ptrdiff_t>(u) + 1;
  const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
  return std::min(1.0, 2 * std::accumulate(counts.begin(), end, 0.0) / all);
}

/// tie_sum: t^3 - t of every group of t equal values.
double normal_p(double u, std::size_t n, std::size_t m, double tie_sum) {
  const double pairs = static_cast<double>(n) * static_cast<double>(m);
  const auto all = static_cast<double>(n + m);
  const double variance = pairs / 12 * (all + 1 - tie_sum / (all * (all - 1)));
  if (variance <= 0) return 1;  // all values are equal
  const double z = (pairs / 2 - u - 0.5) / std::sqrt(variance);
  return std::min(1.0, std::erfc(z / std::numbers::sqrt2));
}

struct RankSum {
  double u = 0;  // the smaller of the two
  double tie_sum = 0;
};

/// A tie counts as half a pair.
RankSum rank_sum(std::span<const double> a, std::span<const double> b) {
  std::vector<double> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  double tie_sum = 0;
  for (auto from = all.begin(); from != all.end();) {
    const auto to = std::upper_bound(from, all.end(), *from);
    const auto t = static_cast<double>(to - from);
    tie_sum += t * t * t - t;
    from = to;
  }
  double u = 0;
  for (const double x : a) {
    for (const double y : b) u += x > y ? 1 : x == y ? 0.5 : 0;
  }
  const double pairs = static_cast<double>(a.size()) * static_cast<double>(b.size());
  return {.u = std::min(u, pairs - u), .tie_sum = tie_sum};
}

double p_of(double u, std::size_t n, std::size_t m, double tie_sum) {
  const bool exact = tie_sum == 0 && n * m <= kMostExactPairs;
  return exact ? exact_p(u, n, m) : normal_p(u, n, m, tie_sum);
}

/// splitmix64: the same numbers everywhere, which the standard's distributions do not promise.
class Resampler {
 public:
  explicit Resampler(std::uint64_t seed) : state_(seed) {}

  double median_of(std::span<const double> values) {
    sample_.resize(values.size());
    for (double& x : sample_) x = values[mix64(state_ += kGoldenGamma) % values.size()];
    return median(sample_);
  }

 private:
  std::uint64_t state_;
  std::vector<double> sample_;
};

}  // namespace

double median(std::span<const double> values) {
  if (values.empty()) throw Error(ExitCode::kInternal, "median: no values");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double mann_whitney_p(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) throw Error(ExitCode::kInternal, "U test: no values");
  const RankSum sum = rank_sum(a, b);
  // Where values repeat, as a coarse clock's do, the approximation can fall below what any order of
  // so few values makes rare.
  return std::max(p_of(sum.u, a.size(), b.size(), sum.tie_sum),
                  smallest_mann_whitney_p(a.size(), b.size()));
}

double smallest_mann_whitney_p(std::size_t num_a, std::size_t num_b) {
  return p_of(0, num_a, num_b, 0);
}

std::optional<Interval> bootstrap_ratio(std::span<const double> base, std::span<const double> next,
                                        int resamples, std::uint64_t seed) {
  if (base.size() < 2 || next.size() < 2) return std::nullopt;
  Resampler resampler(seed);
  std::vector<double> ratios(static_cast<std::size_t>(resamples));
  for (double& ratio : ratios) {
    const double below = resampler.median_of(base);
    ratio = resampler.median_of(next) / below;
  }
  std::sort(ratios.begin(), ratios.end());
  const std::size_t tail = ratios.size() / 40;  // 2.5 % on either side
  return Interval{.low = ratios[tail], .high = ratios[ratios.size() - 1 - tail]};
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return p[a] < p[b]; });
  std::vector<double> corrected(p.size());
  double least = 0;  // a larger p never gets a smaller correction
  for (std::size_t i = 0; i < order.size(); ++i) {
    least = std::max(least, std::min(1.0, static_cast<double>(p.size() - i) * p[order[i]]));
    corrected[order[i]] = least;
  }
  return corrected;
}

}  // namespace llep
