// SPDX-License-Identifier: MIT
#include "common/statistics.hpp"

#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "common/error.hpp"

namespace llep {
namespace {

/// n, n - 1, ... 1: percentiles read off directly, and unsorted.
std::vector<double> countdown(std::size_t n) {
  std::vector<double> samples(n);
  std::iota(samples.rbegin(), samples.rend(), 1.0);
  return samples;
}

TEST(Summarize, small_sample_by_hand) {
  const std::vector<double> samples = {4, 2, 9, 4, 5, 7, 4, 5};
  const Summary summary = summarize(samples);
  EXPECT_EQ(summary.samples, 8);
  EXPECT_EQ(summary.min, 2);
  EXPECT_EQ(summary.avg, 5);
  EXPECT_EQ(summary.p50, 4);  // the 4th smallest of 2 4 4 4 5 5 7 9
  EXPECT_EQ(summary.p90, 9);  // ceil(7.2) = 8th
  EXPECT_EQ(summary.p95, 9);
  EXPECT_EQ(summary.max, 9);
  EXPECT_DOUBLE_EQ(summary.stdev, 2.1380899352993952);  // sqrt(32 / 7)
}

TEST(Summarize, one_sample_has_no_spread) {
  const Summary summary = summarize(std::vector<double>{3.5});
  EXPECT_EQ(summary.samples, 1);
  for (const double x : {summary.min, summary.avg, summary.p50, summary.p95, summary.max}) {
    EXPECT_EQ(x, 3.5);
  }
  EXPECT_EQ(summary.stdev, 0);
}

TEST(Summarize, nearest_rank_is_exact_where_floating_point_is_not) {
  const Summary summary = summarize(countdown(1000));
  EXPECT_EQ(summary.p50, 500);
  EXPECT_EQ(summary.p90, 900);
  EXPECT_EQ(summary.p95, 950);
  EXPECT_EQ(summary.p99, 990);
  EXPECT_EQ(summary.p99_9, 999);
  EXPECT_EQ(summarize(countdown(1001)).p99_9, 1000);
  EXPECT_EQ(summarize(countdown(20)).p95, 19);
  EXPECT_EQ(summarize(countdown(21)).p95, 20);
}

TEST(Summarize, high_percentiles_need_enough_samples) {
  EXPECT_FALSE(summarize(countdown(99)).p99);
  EXPECT_EQ(summarize(countdown(100)).p99, 99);
  EXPECT_FALSE(summarize(countdown(999)).p99_9);
  EXPECT_TRUE(summarize(countdown(1000)).p99_9);
}

TEST(Summarize, equal_samples_have_exactly_that_average) {
  const Summary summary = summarize(std::vector<double>(3, 0.1));
  EXPECT_EQ(summary.avg, 0.1);
  EXPECT_EQ(summary.stdev, 0);
}

TEST(Summarize, refuses_what_has_no_summary) {
  EXPECT_THROW(summarize({}), Error);
  EXPECT_THROW(summarize(std::vector<double>{1, std::numeric_limits<double>::quiet_NaN()}), Error);
  EXPECT_THROW(summarize(std::vector<double>{1, std::numeric_limits<double>::infinity()}), Error);
}

TEST(OverRanks, per_iteration) {
  const std::vector<std::vector<double>> per_rank = {{1, 5, 3}, {4, 1, 3}, {1, 0, 6}};
  EXPECT_EQ(max_over_ranks(per_rank), (std::vector<double>{4, 5, 6}));
  EXPECT_EQ(mean_over_ranks(per_rank), (std::vector<double>{2, 2, 4}));
  EXPECT_EQ(max_over_ranks({{1, 2}}), (std::vector<double>{1, 2}));
}

TEST(OverRanks, refuses_ranks_of_different_length) {
  EXPECT_THROW(max_over_ranks({}), Error);
  EXPECT_THROW(mean_over_ranks({{1, 2}, {1}}), Error);
}

TEST(Histogram, CountsEverySampleOnce) {
  const Histogram histogram = histogram_of(std::vector<double>{10, 10.9, 11, 20, 30, 29.9});
  EXPECT_EQ(histogram.from, 10.0);
  EXPECT_EQ(histogram.width, 1.0);
  std::vector<std::int64_t> counts(kHistogramBins);
  counts[0] = 2;
  counts[1] = 1;
  counts[10] = 1;
  counts[19] = 2;
  EXPECT_EQ(histogram.counts, counts);
  const Histogram equal = histogram_of(std::vector<double>{5, 5});
  EXPECT_EQ(equal.width, 0.0);
  EXPECT_EQ(equal.counts[0], 2);
  EXPECT_THROW(histogram_of({}), Error);
}

}  // namespace
}  // namespace llep
