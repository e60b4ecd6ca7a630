// SPDX-License-Identifier: MIT
#include "common/comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "common/error.hpp"

namespace llep {
namespace {

using Values = std::vector<double>;

/// `n` values from `first` on, `step` apart.
Values ramp(std::size_t n, double first, double step) {
  Values values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = first + step * static_cast<double>(i);
  return values;
}

/// Times as trials give them: around `us`, with a spread of 3 %.
Values noise(std::mt19937_64& random, std::size_t n, double us) {
  std::normal_distribution<double> log_us(std::log(us), 0.03);
  Values values(n);
  for (double& value : values) value = std::exp(log_us(random));
  return values;
}

TEST(Median, of_odd_and_even_numbers) {
  EXPECT_EQ(median(Values{9, 1, 5}), 5);
  EXPECT_EQ(median(Values{9, 1, 5, 6}), 5.5);
  EXPECT_THROW(median({}), Error);
}

// The references of these: scipy.stats.mannwhitneyu 1.10, method exact.
TEST(MannWhitney, exact) {
  EXPECT_NEAR(mann_whitney_p(ramp(5, 1, 1), ramp(5, 6, 1)), 0.007936507936507936, 1e-12);
  EXPECT_NEAR(mann_whitney_p(Values{1, 4, 7, 9, 12}, Values{2, 3, 5, 10, 11, 13, 14}),
              0.5303030303030304, 1e-12);
  EXPECT_NEAR(mann_whitney_p(Values{19, 22, 16, 29, 24, 30, 31, 8}, Values{20, 11, 17, 12, 5, 3}),
              0.029304029304029304, 1e-12);
  EXPECT_NEAR(mann_whitney_p(ramp(20, 0, 2), ramp(20, 7.5, 2)), 0.0859140199856938, 1e-12);
}

// And of these: method asymptotic.
TEST(MannWhitney, ties_and_many_values_are_approximated) {
  EXPECT_NEAR(mann_whitney_p(Values{1, 2, 2}, Values{2, 3, 4, 4}), 0.0954832320975473, 1e-9);
  EXPECT_NEAR(mann_whitney_p(Values{10, 10, 11, 12, 12, 13}, Values{11, 12, 13, 13, 14, 15}),
              0.07296726831346526, 1e-9);
  EXPECT_NEAR(mann_whitney_p(ramp(25, 0, 0.5), ramp(20, 2.25, 0.5)), 0.3669274890556681, 1e-9);
  EXPECT_EQ(mann_whitney_p(Values{1, 1, 1}, Values{1, 1, 1}), 1);
}

TEST(MannWhitney, two_sided_and_symmetric) {
  const Values a = {3, 1, 4, 1.5, 9};
  const Values b = {2, 6, 5, 3.5};
  EXPECT_EQ(mann_whitney_p(a, b), mann_whitney_p(b, a));
  EXPECT_EQ(mann_whitney_p(Values{1}, Values{2}), 1);
}

TEST(MannWhitney, no_p_is_below_the_smallest) {
  EXPECT_NEAR(smallest_mann_whitney_p(5, 5), 2.0 / 252, 1e-12);
  EXPECT_NEAR(smallest_mann_whitney_p(3, 4), 2.0 / 35, 1e-12);
  EXPECT_LT(smallest_mann_whitney_p(30, 30), 1e-9);
  EXPECT_EQ(mann_whitney_p(Values{1, 1, 1, 1, 1}, Values{2, 2, 2, 2, 2}),
            smallest_mann_whitney_p(5, 5));
}

// By hand: 3 * 0.01, 2 * 0.02, 1 * 0.03 but not below the one before; capped at 1.
TEST(Holm, steps_down) {
  const auto corrected = holm(Values{0.03, 0.01, 0.02});
  EXPECT_NEAR(corrected[0], 0.04, 1e-12);
  EXPECT_NEAR(corrected[1], 0.03, 1e-12);
  EXPECT_NEAR(corrected[2], 0.04, 1e-12);
  EXPECT_EQ(holm(Values{0.6, 0.7}), (Values{1, 1}));
  EXPECT_TRUE(holm({}).empty());
}

TEST(BootstrapRatio, repeats_and_covers) {
  const Values base = {10, 11, 9, 10.5, 9.5};
  const Values next = {20, 22, 18, 21, 19};
  const auto interval = bootstrap_ratio(base, next, 10000, 7);
  const auto again = bootstrap_ratio(base, next, 10000, 7);
  EXPECT_EQ(interval->low, again->low);
  EXPECT_EQ(interval->high, again->high);
  EXPECT_LT(interval->low, 2);
  EXPECT_GT(interval->high, 2);
  EXPECT_GE(interval->low, 18.0 / 11);
  EXPECT_LE(interval->high, 22.0 / 9);
}

TEST(BootstrapRatio, equal_values_leave_no_doubt) {
  const auto interval = bootstrap_ratio(Values{4, 4, 4}, Values{6, 6}, 100, 1);
  EXPECT_EQ(interval->low, 1.5);
  EXPECT_EQ(interval->high, 1.5);
  EXPECT_FALSE(bootstrap_ratio(Values{4}, Values{6, 6}, 100, 1));
}

// The true ratio lies in about 95 % of the intervals; a percentile bootstrap of a median of 15
// keeps a little less or more.
TEST(BootstrapRatio, covers_the_true_ratio) {
  std::mt19937_64 random(1);
  int covered = 0;
  for (int i = 0; i < 400; ++i) {
    const auto interval = bootstrap_ratio(noise(random, 15, 20), noise(random, 15, 22), 400, 3);
    covered += interval->low <= 1.1 && 1.1 <= interval->high ? 1 : 0;
  }
  EXPECT_GE(covered, 368);
}

}  // namespace
}  // namespace llep
