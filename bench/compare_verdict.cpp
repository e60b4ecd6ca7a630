// SPDX-License-Identifier: MIT
#include "bench/compare_verdict.hpp"

namespace llep {
namespace {

constexpr std::uint64_t kBootstrapSeed = 46020;

bool measured(const MatchedBenchmark& one) {
  return !one.base.failed && !one.next.failed && !one.base.us.empty() && !one.next.us.empty();
}

Difference difference_of(const MatchedBenchmark& one, const CompareRules& rules) {
  const double base_us = median(one.base.us);
  const double next_us = median(one.next.us);
  return {.base_us = base_us,
          .next_us = next_us,
          .ratio = next_us / base_us,
          .interval = bootstrap_ratio(one.base.us, one.next.us, rules.resamples, kBootstrapSeed),
          .p = mann_whitney_p(one.base.us, one.next.us)};
}

/// smallest_p: that so many units can give, corrected.
Verdict verdict_of(const Difference& found, double smallest_p, const CompareRules& rules) {
  if (!found.interval) return Verdict::kInconclusive;
  if (found.corrected_p >= rules.alpha) {
    return smallest_p < rules.alpha ? Verdict::kNoChange : Verdict::kInconclusive;
  }
  const double by_us = found.next_us - found.base_us;
  const bool slower = found.ratio > 1 + rules.threshold && by_us > rules.threshold_us;
  const bool faster = found.ratio < 1 - rules.threshold && -by_us > rules.threshold_us;
  if (slower && found.interval->low > 1) return Verdict::kRegression;
  if (faster && found.interval->high < 1) return Verdict::kImprovement;
  return Verdict::kNoChange;
}

/// Without times: a benchmark that fails since is a regression.
Judgement judge_unmeasured(const MatchedBenchmark& one) {
  Judgement judgement{.name = one.name};
  if (one.next.failed && !one.base.failed && !one.base.us.empty()) {
    judgement.verdict = Verdict::kRegression;
    judgement.reason = "failed: " + one.next.reason;
  } else if (one.base.us.empty() || one.base.failed) {
    judgement.reason = "base: " + one.base.reason;
  } else {
    judgement.reason = "new: " + one.next.reason;
  }
  return judgement;
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kRegression: return "regression";
    case Verdict::kImprovement: return "improvement";
    case Verdict::kNoChange: return "no change";
    case Verdict::kInconclusive: return "inconclusive";
    case Verdict::kUnmeasured: break;
  }
  return "unmeasured";
}

std::vector<Judgement> judge(const std::vector<MatchedBenchmark>& matched,
                             const CompareRules& rules) {
  std::vector<Judgement> judgements;
  std::vector<double> p;
  for (const MatchedBenchmark& one : matched) {
    judgements.push_back(judge_unmeasured(one));
    if (!measured(one)) continue;
    judgements.back() = {.name = one.name, .difference = difference_of(one, rules)};
    p.push_back(judgements.back().difference->p);
  }
  const std::vector<double> corrected = holm(p);
  const auto family = static_cast<double>(p.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < matched.size(); ++i) {
    auto& difference = judgements[i].difference;
    if (!difference) continue;
    difference->corrected_p = corrected[next++];
    const double smallest =
        smallest_mann_whitney_p(matched[i].base.us.size(), matched[i].next.us.size());
    judgements[i].verdict = verdict_of(*difference, family * smallest, rules);
  }
  return judgements;
}

std::size_t units_needed(std::size_t num_comparisons, double alpha) {
  std::size_t units = 2;
  while (static_cast<double>(num_comparisons) * smallest_mann_whitney_p(units, units) >= alpha) {
    ++units;
  }
  return units;
}

}  // namespace llep
