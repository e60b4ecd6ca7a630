// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "bench/compare_match.hpp"
#include "bench/compare_report.hpp"
#include "bench/compare_verdict.hpp"
#include "tests/unit/result_fixture.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;
using report_fixture::make_failed;
using report_fixture::make_result;
using report_fixture::make_skipped;
using result_fixture::make_document;
using result_fixture::read;
using Values = std::vector<double>;

constexpr std::size_t kTrials = 10;

/// Trials around `us` with a spread of 3 %.
Values trials(std::mt19937_64& random, double us) {
  std::normal_distribution<double> log_us(std::log(us), 0.03);
  Values values(kTrials);
  for (double& value : values) value = std::exp(log_us(random));
  return values;
}

MatchedBenchmark pair_of(Values base, Values next) {
  return {.name = "one", .base = {.us = std::move(base)}, .next = {.us = std::move(next)}};
}

Verdict verdict(Values base, Values next, const CompareRules& rules = {}) {
  return judge({pair_of(std::move(base), std::move(next))}, rules).front().verdict;
}

const Values kTen = {10, 10.1, 9.9, 10.2, 9.8};

Values times(const Values& values, double factor) {
  Values product = values;
  for (double& value : product) value *= factor;
  return product;
}

TEST(Judge, needs_all_four_rules) {
  EXPECT_EQ(verdict(kTen, times(kTen, 1.5)), Verdict::kRegression);
  EXPECT_EQ(verdict(kTen, times(kTen, 0.5)), Verdict::kImprovement);
  EXPECT_EQ(verdict(kTen, kTen), Verdict::kNoChange);
  // 50 %, but 0.5 us; and 5 us, but 5 %: neither is more than its threshold.
  EXPECT_EQ(verdict(times(kTen, 0.1), times(kTen, 0.15)), Verdict::kNoChange);
  EXPECT_EQ(verdict(times(kTen, 10), times(kTen, 10.5)), Verdict::kNoChange);
  EXPECT_EQ(verdict(times(kTen, 10), times(kTen, 10.5), {.threshold = 0.04}), Verdict::kRegression);
  // Significant, but with other trials the base's median could have been above the new one.
  const Values base = {10, 11, 12, 13, 14, 15, 16, 25.6, 26.6, 27.6};
  const Values next = {20, 21, 22, 23, 24, 25, 26, 27, 28, 29};
  const Difference found = *judge({pair_of(base, next)}, {}).front().difference;
  EXPECT_LT(found.corrected_p, 0.05);
  EXPECT_LT(found.interval->low, 1);
  EXPECT_EQ(verdict(base, next), Verdict::kNoChange);
}

TEST(Judge, too_few_units_are_inconclusive) {
  EXPECT_EQ(verdict({10, 10.1, 10.2}, {20, 20.1, 20.2}), Verdict::kInconclusive);
  EXPECT_EQ(verdict({10}, {20}), Verdict::kInconclusive);
  EXPECT_EQ(verdict({10}, Values(50, 20)), Verdict::kInconclusive);
  const std::vector<MatchedBenchmark> sweep(40, pair_of(kTen, times(kTen, 2)));
  EXPECT_EQ(judge(sweep, {}).back().verdict, Verdict::kInconclusive);
}

TEST(Judge, how_many_units_would_do) {
  EXPECT_EQ(units_needed(1, 0.05), 4U);   // 2 / C(8, 4) = 0.029
  EXPECT_EQ(units_needed(40, 0.05), 7U);  // 40 * 2 / C(14, 7) = 0.023
  const std::vector<MatchedBenchmark> sweep(
      40, pair_of({10, 10.1, 9.9, 10.2, 9.8, 10.3, 9.7}, {20, 20.1, 19.9, 20.2, 19.8, 20.3, 19.7}));
  EXPECT_EQ(judge(sweep, {}).back().verdict, Verdict::kRegression);
}

// The family-wise error: of sweeps without any change, at most alpha may show one. Thresholds are
// off, so that the test alone decides.
TEST(Judge, false_alarms_stay_below_alpha) {
  std::mt19937_64 random(1);
  const CompareRules rules = {.threshold = 0, .threshold_us = 0, .resamples = 200};
  int alarms = 0;
  for (int sweep = 0; sweep < 1000; ++sweep) {
    std::vector<MatchedBenchmark> matched;
    for (int i = 0; i < 6; ++i) matched.push_back(pair_of(trials(random, 30), trials(random, 30)));
    const auto judged = judge(matched, rules);
    const bool alarm = std::any_of(judged.begin(), judged.end(), [](const Judgement& one) {
      return one.verdict != Verdict::kNoChange;
    });
    alarms += alarm ? 1 : 0;
  }
  EXPECT_LE(alarms, 50);
  EXPECT_GT(alarms, 0);  // else nothing was tested
}

TEST(Judge, finds_a_shift_of_ten_percent) {
  std::mt19937_64 random(2);
  int found = 0;
  for (int sweep = 0; sweep < 200; ++sweep) {
    std::vector<MatchedBenchmark> matched = {pair_of(trials(random, 30), trials(random, 33))};
    for (int i = 0; i < 5; ++i) matched.push_back(pair_of(trials(random, 30), trials(random, 30)));
    const auto judged = judge(matched, {.resamples = 200});
    found += judged.front().verdict == Verdict::kRegression ? 1 : 0;
  }
  EXPECT_GE(found, 190);
}

TEST(Judge, what_fails_since_is_a_regression) {
  const ResultFiles good = {read(make_document({make_result()}))};
  const ResultFiles bad = {read(make_document({make_failed()}))};
  const ResultFiles skipped = {read(make_document({make_skipped()}))};
  const auto combine = [](const ResultFiles& base, const ResultFiles& next) {
    return judge(match(base, next).both, {}).at(1);
  };
  EXPECT_EQ(combine(good, bad).verdict, Verdict::kRegression);
  EXPECT_EQ(combine(good, bad).reason, "failed: combine: rank 1: token 3: first bad column 7");
  EXPECT_EQ(combine(bad, bad).verdict, Verdict::kUnmeasured);
  EXPECT_EQ(combine(bad, good).verdict, Verdict::kUnmeasured);
  EXPECT_EQ(combine(skipped, bad).verdict, Verdict::kUnmeasured);
  EXPECT_EQ(combine(good, skipped).verdict, Verdict::kUnmeasured);
  EXPECT_EQ(combine(good, skipped).reason, "new: no peer access between the GPUs of ranks 0 and 1");
}

TEST(Match, trials_of_one_file_and_runs_of_several) {
  Json document = make_document({make_result(4)});
  document["benchmarks"][0]["trial_p50_us"] = {20, 21, 22};
  const ResultFile file = read(document);
  const Matching one = match({file}, {file});
  EXPECT_EQ(one.unit, Unit::kTrial);
  EXPECT_TRUE(one.lacks_trials);  // combine's
  EXPECT_EQ(one.both[0].base.us, (Values{20, 21, 22}));
  EXPECT_EQ(one.both[1].base.us, (Values{20}));
  const Matching several = match({file, file}, {file});
  EXPECT_EQ(several.unit, Unit::kRun);
  EXPECT_FALSE(several.lacks_trials);
  EXPECT_EQ(several.both[0].base.us, (Values{20, 20}));
  EXPECT_EQ(several.both[0].next.us, (Values{20}));
}

TEST(Match, entries_of_one_side_are_listed) {
  Json document = make_document({make_result()});
  const ResultFile both = read(document);
  document["benchmarks"].erase(1);
  const ResultFile dispatch = read(document);
  EXPECT_EQ(match({both}, {dispatch}).only_base, (std::vector{both.entries[1].name}));
  EXPECT_EQ(match({dispatch}, {both}).only_next, (std::vector{both.entries[1].name}));
  EXPECT_TRUE(match({dispatch, both}, {both}).only_next.empty());
  EXPECT_EQ(match({dispatch, both}, {both}).both[1].base.us.size(), 1U);
}

TEST(Conditions, name_the_field_and_both_values) {
  Json document = make_document({make_result()});
  ResultFile base = read(document);
  base.path = "a.json";
  const auto changed = [&](const char* pointer, const Json& value) {
    Json other = document;
    other[Json::json_pointer(pointer)] = value;
    ResultFile file = read(other);
    file.path = "b.json";
    return ResultFiles{file};
  };
  EXPECT_TRUE(incomparable({base}, {base}).empty());
  EXPECT_TRUE(different({base}, {base}).empty());
  EXPECT_EQ(incomparable({base}, changed("/context/executor", "host")),
            (std::vector<std::string>{"context.executor: \"cuda\" in a.json, \"host\" in b.json"}));
  EXPECT_EQ(incomparable({base}, changed("/context/nodes", {0, 0})),
            (std::vector<std::string>{"context.nodes[1]: 1 in a.json, 0 in b.json"}));
  for (const char* field : {"world_size", "num_nodes"}) {
    EXPECT_EQ(incomparable({base}, changed((std::string("/context/") + field).c_str(), 7)).size(),
              1U);
  }
  EXPECT_EQ(incomparable({base}, changed("/context/shared_gpus", true)).size(), 1U);
  EXPECT_EQ(incomparable({base}, changed("/context/stand_ins", {"twin"})).size(), 1U);
  EXPECT_EQ(incomparable({base}, changed("/context/devices/1/name", "H100")).size(), 1U);
  EXPECT_EQ(
      incomparable({base}, changed("/context/processors/1", "Neoverse-V2, 72 threads")).size(), 1U);
  EXPECT_TRUE(incomparable({base}, changed("/context/devices/1/uuid", "x")).empty());
  // Another revision is the point of it; an injected fault and options are said.
  EXPECT_TRUE(different({base}, changed("/context/git_revision", "f00")).empty());
  EXPECT_EQ(different({base}, changed("/context/arguments/iters", 7)).size(), 1U);
  EXPECT_EQ(different({base}, changed("/context/arguments/inject", "delay")).size(), 1U);
  EXPECT_EQ(different({base}, changed("/context/cuda_driver", "12.0")).size(), 1U);
  EXPECT_EQ(different({base}, changed("/context/nvidia_driver", "550.54")).size(), 1U);
}

TEST(Conditions, every_option_but_those_of_output_is_said) {
  const Json document = make_document({make_result()});
  const ResultFiles base = {read(document)};
  const std::set<std::string> of_output = {"json",    "samples", "floors",         "anonymous",
                                           "verbose", "dry-run", "max-latency-us", "min-bw"};
  for (const auto& argument : document["context"]["arguments"].items()) {
    Json other = document;
    other["context"]["arguments"][argument.key()] = "another";
    EXPECT_EQ(different(base, {read(other)}).size(), of_output.contains(argument.key()) ? 0U : 1U)
        << argument.key();
  }
}

/// A results file over fifo, as its transport says.
Json over(const Json& paths, const Json& adapters) {
  Json document = make_document({make_result()});
  document["context"]["transports"] = {{{"name", "fifo"},
                                        {"descriptions", {"some", "thing"}},
                                        {"adapters", adapters},
                                        {"paths", paths},
                                        {"proxy_cpu", nullptr}}};
  return document;
}

TEST(Conditions, what_carried_rows_must_be_the_same) {
  const Json mpi = Json::array({{"self", "fifo-mpi"}, {"fifo-mpi", "self"}});
  const Json verbs = Json::array({{"self", "fifo-verbs"}, {"fifo-verbs", "self"}});
  const Json idle = Json::array({{"self", "fifo-mpi"}, {"none", "self"}});
  const Json slow = {"vendor 0x2c9 part 4123, InfiniBand, 200 Gb/s", "the same"};
  const Json fast = {"vendor 0x2c9 part 4129, InfiniBand, 400 Gb/s", "the same"};
  const auto obstacles = [](const Json& base, const Json& next) {
    return incomparable({read(base)}, {read(next)}).size();
  };
  EXPECT_EQ(obstacles(over(mpi, nullptr), over(verbs, fast)), 1U);
  EXPECT_EQ(obstacles(over(verbs, slow), over(verbs, fast)), 1U);
  EXPECT_EQ(obstacles(over(mpi, nullptr), over(idle, nullptr)), 0U);
  EXPECT_EQ(obstacles(over(mpi, nullptr), over(nullptr, nullptr)), 0U);  // it ended early
  EXPECT_EQ(obstacles(over(mpi, nullptr), make_document({make_result()})), 0U);
  Json described = over(mpi, nullptr);
  described["context"]["transports"][0]["descriptions"][1] = "else";
  EXPECT_EQ(different({read(over(mpi, nullptr))}, {read(described)}).size(), 1U);
}

TEST(Conditions, traces_of_one_name_must_hold_the_same) {
  Json document = make_document({make_result()});
  document["context"]["traces"] = {{"a~b.npy", "01"}, {"c.npy", "02"}};
  const ResultFiles base = {read(document)};
  document["context"]["traces"] = {{"a~b.npy", "01"}, {"d.npy", "03"}};
  EXPECT_TRUE(incomparable(base, {read(document)}).empty());
  document["context"]["traces"] = {{"a~b.npy", "ff"}};
  EXPECT_EQ(incomparable(base, {read(document)}).size(), 1U);
}

TEST(Conditions, what_an_older_file_does_not_tell_is_said) {
  Json document = make_document({make_result()});
  const ResultFiles base = {read(document)};
  document["context"].erase("processors");
  document["context"].erase("transports");
  document["context"].erase("traces");
  EXPECT_TRUE(incomparable(base, {read(document)}).empty());
  EXPECT_EQ(different(base, {read(document)}).size(), 1U);
}

TEST(CompareReport, says_what_more_data_is_needed) {
  const ResultFile file = read(make_document({make_result()}));
  Comparison comparison{.base = {file}, .next = {file}};
  comparison.matching = match(comparison.base, comparison.next);
  comparison.judgements = judge(comparison.matching.both, comparison.rules);
  EXPECT_EQ(compare_notes(comparison),
            "inconclusive: with 2 comparisons at alpha 0.05 at least 5 trials a side are needed\n"
            "regression: 0, improvement: 0, no change: 0, inconclusive: 2, unmeasured: 0, only in "
            "base: 0, only in new: 0\n");
  const Json json = compare_json(comparison);
  EXPECT_EQ(json["comparisons"][0]["ratio_interval"], nullptr);
  EXPECT_EQ(json["comparisons"][0]["ratio"], 1.0);
  EXPECT_NE(compare_markdown(comparison).find("| 1.000 | - | 1.0000 | inconclusive |"),
            std::string::npos);
}

}  // namespace
}  // namespace llep
