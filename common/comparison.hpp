// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Whether two sets of measurements differ, and by how much.
namespace llep {

/// The middle value, or the mean of the two in the middle. Throws Error(kInternal) without values.
double median(std::span<const double> values);

/// Two-sided p-value of the Mann-Whitney U test: how often two samples of one distribution differ
/// at least as much. Exact for small samples without ties (n * m <= 400), else the normal
/// approximation with tie and continuity correction, but never below the smallest p of such sizes.
/// Throws Error(kInternal) without values.
double mann_whitney_p(std::span<const double> a, std::span<const double> b);

/// The smallest p that the test can give for samples of these sizes: none of one is above any of
/// the other.
double smallest_mann_whitney_p(std::size_t num_a, std::size_t num_b);

struct Interval {
  double low = 0;
  double high = 0;
};

/// 95 % percentile bootstrap interval of median(next) / median(base), the same for the same seed.
/// Nothing where a side has a single value: resampling it says nothing. Values are positive.
std::optional<Interval> bootstrap_ratio(std::span<const double> base, std::span<const double> next,
                                        int resamples, std::uint64_t seed);

/// Holm's step-down correction: compared with alpha, they keep the chance of any false alarm in the
/// whole family at alpha. In the order of `p`.
std::vector<double> holm(std::span<const double> p);

}  // namespace llep
