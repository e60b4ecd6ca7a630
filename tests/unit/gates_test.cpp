// SPDX-License-Identifier: MIT
#include "bench/gates.hpp"

#include <gtest/gtest.h>

#include "bench/gate_check.hpp"
#include "bench/trials.hpp"
#include "common/error.hpp"
#include "tests/unit/report_fixture.hpp"

namespace llep {
namespace {

using report_fixture::make_result;
using report_fixture::make_skipped;

std::string complaint(const std::string& text) {
  try {
    parse_latency_gate(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "(none)";
}

TEST(Gate, ReadsWhatItWrites) {
  const LatencyGate gate{.op = Op::kCombine, .statistic = "p99_9", .most_us = 40.5};
  EXPECT_EQ(parse_latency_gate(to_string(gate)), gate);
  const BandwidthGate bandwidth{.op = Op::kPair, .least_gbps = 200};
  EXPECT_EQ(parse_bandwidth_gate(to_string(bandwidth)), bandwidth);
}

TEST(Gate, SaysWhatIsWrong) {
  EXPECT_EQ(complaint("dispatch:40"),
            "'dispatch:40' is not OP:STATISTIC:US, such as dispatch:p50:40");
  EXPECT_EQ(complaint("dispatched:p50:40"), "'dispatched' is not one of dispatch, combine, pair");
  EXPECT_EQ(complaint("dispatch:median:40"),
            "'median' is not one of min, avg, p50, p90, p95, p99, p99_9, max");
  EXPECT_EQ(complaint("dispatch:p50:0"), "'0' is not a number above 0 and at most 1e9");
}

/// Samples of the fixture's slowest rank: 10, 20, ... 1000 us; 60 KB in 505 us on average, of rank
/// 0.
std::vector<GateResult> check(const RunOptions& options) {
  CaseResult fast = make_result(100);
  fast.which.shape.max_tokens = 8;
  for (OpResult& op : fast.ops) op.us[0] = op.us[1];
  return check_gates({fast, make_result(100)}, options);
}

TEST(Gate, HoldsForTheWorstCase) {
  for (const auto& [name, value] :
       {std::pair("min", 10.0), std::pair("avg", 505.0), std::pair("p50", 500.0),
        std::pair("p90", 900.0), std::pair("p95", 950.0), std::pair("p99", 990.0),
        std::pair("max", 1000.0)}) {
    for (const double limit : {value, value - 0.01}) {
      RunOptions options;
      options.max_latency_us = {{.op = Op::kDispatch, .statistic = name, .most_us = limit}};
      const GateResult result = check(options).front();
      EXPECT_EQ(result.worst, value) << name;
      EXPECT_EQ(result.passed, limit == value) << name;
      EXPECT_NE(result.name.find("/T16/"), std::string::npos);
    }
  }
}

TEST(Gate, OfBandwidthHoldsForTheSlowestCase) {
  RunOptions options;
  options.min_bw = {{.op = Op::kCombine, .least_gbps = 0.17},
                    {.op = Op::kCombine, .least_gbps = 0.18}};
  const auto results = check(options);
  // (60 KB / 505 us + 60 KB / 252.5 us) / 2
  EXPECT_NEAR(results[0].worst.value(), 0.1782, 1e-4);
  EXPECT_TRUE(results[0].passed);
  EXPECT_FALSE(results[1].passed);
}

TEST(Gate, IsMissedWhereNothingWasMeasured) {
  RunOptions options;
  options.max_latency_us = {{.op = Op::kDispatch, .statistic = "p50", .most_us = 1e9},
                            {.op = Op::kPair, .statistic = "p50", .most_us = 1e9}};
  EXPECT_FALSE(check_gates({make_skipped()}, options).front().passed);
  EXPECT_TRUE(check(options)[0].passed);
  EXPECT_FALSE(check(options)[1].passed);
  EXPECT_EQ(gate_line(check(options)[1]),
            "gate max-latency-us pair:p50:1000000000: missed: nothing was measured\n");
}

TEST(Gate, IsMissedWhereACaseWasNotMeasured) {
  RunOptions options;
  options.max_latency_us = {{.op = Op::kDispatch, .statistic = "max", .most_us = 1e9}};
  options.min_bw = {{.op = Op::kCombine, .least_gbps = 1e-9}};
  for (const GateResult& result : check_gates({make_result(2), make_result(2)}, options)) {
    EXPECT_TRUE(result.passed) << result.gate;
    EXPECT_EQ(result.not_measured, 0U);
  }
  std::vector<CaseResult> results = {make_skipped(), make_result(2)};
  for (const GateResult& result : check_gates(results, options)) {
    EXPECT_FALSE(result.passed) << result.gate;
    EXPECT_EQ(result.not_measured, 1U);
    EXPECT_TRUE(gate_line(result).ends_with("/uniform; 1 case was not measured\n"))
        << gate_line(result);
  }
  results.push_back(make_skipped());
  const std::string line = gate_line(check_gates(results, options).front());
  EXPECT_TRUE(line.starts_with("gate max-latency-us dispatch:max:1000000000: missed: 20 in ")) << line;
  EXPECT_TRUE(line.ends_with("; 2 cases were not measured\n")) << line;
}

TEST(Trials, BeginWithAnotherCaseEach) {
  for (int trial = 0; trial < 5; ++trial) {
    std::vector<bool> seen(3);
    for (std::size_t place = 0; place < 3; ++place) seen[case_at(place, trial, 3)] = true;
    EXPECT_EQ(seen, std::vector<bool>(3, true));
    EXPECT_EQ(case_at(0, trial, 3), static_cast<std::size_t>(trial % 3));
  }
}

TEST(Trials, AddUp) {
  CaseResult all;
  append_trial(all, make_result(3));
  CaseResult second = make_result(3);
  second.ops[0].cold_us = 7.0;
  second.ops[0].us[0] = {100, 200, 300};
  second.ops[1].passed = std::nullopt;
  append_trial(all, second);
  EXPECT_EQ(all.ops[0].us[0], (std::vector<double>{10, 20, 30, 100, 200, 300}));
  EXPECT_EQ(all.ops[0].cold_us, 500.0);
  EXPECT_EQ(all.ops[0].checked_iterations, 6);
  EXPECT_EQ(all.ops[1].passed, true);
  EXPECT_EQ(trial_medians(all.ops[0], 3), (std::vector<double>{20, 200}));
  // A third one that ended early.
  second.ops[0].us = {{1}, {1}};
  append_trial(all, second);
  EXPECT_EQ(trial_medians(all.ops[0], 3).size(), 2U);
}

}  // namespace
}  // namespace llep
