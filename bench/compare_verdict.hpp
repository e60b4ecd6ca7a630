// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/compare_match.hpp"
#include "common/comparison.hpp"

namespace llep {

/// A regression needs all of these: the ratio of the medians new / base above 1 + threshold, their
/// difference above threshold_us, Holm's p below alpha, the 95 % interval of the ratio above 1. An
/// improvement needs the same on the other side.
struct CompareRules {
  double threshold = 0.05;
  double threshold_us = 1;
  double alpha = 0.05;
  int resamples = 10000;
};

enum class Verdict {
  kRegression,
  kImprovement,
  kNoChange,      // none that the rules call one
  kInconclusive,  // with so few units no difference could be
  kUnmeasured,    // a side has no times
};
const char* to_string(Verdict verdict);

struct Difference {
  double base_us = 0;  // median
  double next_us = 0;
  double ratio = 0;
  std::optional<Interval> interval = {};  // nothing: a side has one unit
  double p = 1;
  double corrected_p = 1;
};

struct Judgement {
  std::string name;
  Verdict verdict = Verdict::kUnmeasured;
  std::optional<Difference> difference = {};
  std::string reason = {};  // of a failure, or why there is no difference
};

/// In the order of `matched`. Holm's family are those with times on both sides.
std::vector<Judgement> judge(const std::vector<MatchedBenchmark>& matched,
                             const CompareRules& rules);

/// How many units a side are needed before one of so many comparisons can be significant.
std::size_t units_needed(std::size_t num_comparisons, double alpha);

}  // namespace llep
