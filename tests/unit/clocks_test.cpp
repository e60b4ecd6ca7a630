// SPDX-License-Identifier: MIT
// What several clocks say of one op: offsets between devices, entries, overlap.
#include <gtest/gtest.h>

#include <vector>

#include "bench/metrics.hpp"
#include "bench/report_lines.hpp"
#include "bench/timed_ops.hpp"
#include "tests/unit/report_fixture.hpp"

namespace llep {
namespace {

constexpr int kRounds = MeetingArgs::kRounds;

/// Round trips to a rank whose clock is ahead by `ahead`; trip i takes there[i] and back[i].
struct Trips {
  std::vector<RoundTrip> trips;
  std::vector<std::uint64_t> turns;
};
Trips trips(std::int64_t ahead, const std::vector<std::uint64_t>& there,
            const std::vector<std::uint64_t>& back) {
  Trips all;
  std::uint64_t now = 1'000'000;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::uint64_t turn = now + there[i];
    all.trips.push_back({now, turn + back[i]});
    all.turns.push_back(turn + static_cast<std::uint64_t>(ahead));
    now = turn + back[i] + 100;
  }
  return all;
}

TEST(ClockOffset, IsThatOfTheShortestTrip) {
  std::vector<std::uint64_t> there(kRounds, 5000);
  std::vector<std::uint64_t> back(kRounds, 900);
  there[3] = back[3] = 800;  // the only one that is as long there as back
  for (const std::int64_t ahead : {0, 123'456, -654'321}) {
    const Trips all = trips(ahead, there, back);
    const ClockOffset offset = clock_offset(all.trips.data(), all.turns.data());
    EXPECT_EQ(offset.ns, ahead);
    EXPECT_DOUBLE_EQ(offset.error_us, 0.8);
  }
}

TEST(ClockOffset, IsNeverFurtherOffThanItsError) {
  for (const std::uint64_t there : {0U, 300U, 2000U}) {
    const Trips all = trips(-50, std::vector<std::uint64_t>(kRounds, there),
                            std::vector<std::uint64_t>(kRounds, 1000));
    const ClockOffset offset = clock_offset(all.trips.data(), all.turns.data());
    EXPECT_LE(std::abs(static_cast<double>(offset.ns + 50)), offset.error_us * 1e3);
  }
}

OpTimes entered(std::int64_t ns, double us, double device_us) {
  OpTimes times{.whole = {.host_observed = us, .device = device_us, .wall = 99}};
  times.entered_ns = ns;
  return times;
}

TEST(Entries, TimesStartWithTheLastOne) {
  std::vector<OpTimes> times = {entered(-4000, 20, 18), entered(1000, 12, 11),
                                entered(-1000, 1, 1)};
  EXPECT_DOUBLE_EQ(take_entries_out(times), 5.0);
  EXPECT_DOUBLE_EQ(times[0].whole.host_observed, 15);
  EXPECT_DOUBLE_EQ(times[0].whole.device, 13);
  EXPECT_DOUBLE_EQ(times[1].whole.host_observed, 12);
  EXPECT_DOUBLE_EQ(times[1].whole.device, 11);
  EXPECT_DOUBLE_EQ(times[2].whole.device, 0);  // clocks are compared to some error only
}

TEST(Entries, AreWaitedForInTheReceiveHalf) {
  std::vector<OpTimes> times = {entered(0, 20, 18), entered(3000, 12, 11)};
  times[0].receive_us = 9;
  times[1].receive_us = 5;
  EXPECT_DOUBLE_EQ(take_entries_out(times), 3.0);
  EXPECT_DOUBLE_EQ(times[0].whole.host_observed, 17);
  EXPECT_DOUBLE_EQ(times[0].receive_us, 6);
  EXPECT_DOUBLE_EQ(times[1].receive_us, 5);
}

TEST(HiddenShare, IsOfTheSlowestRanksMedians) {
  EXPECT_FALSE(hidden_share({}));
  EXPECT_DOUBLE_EQ(*hidden_share({.receive_us = {{10, 10, 10}, {1, 40, 40}},
                                  .exposed_us = {{10, 10, 1}, {1, 1, 1}}}),
                   0.75);
}

TEST(Lines, TellEveryClock) {
  OpResult op = report_fixture::make_op(Op::kCombine, 1);
  EXPECT_EQ(clock_line(op), "  combine: p50 in us: events 10.00\n");
  op.device_us = {{7}, {8}};
  op.wall_us = {{30}, {20}};
  EXPECT_EQ(clock_line(op), "  combine: p50 in us: events 10.00, device clock 8.00, wall 30.00\n");
  op.wall_us.clear();
  op.entry_skew_us = {1.25};
  op.clock_error_us = 0.5;
  EXPECT_EQ(clock_line(op),
            "  combine: p50 in us: events 10.00, device clock 8.00; entry skew 1.25 +- 0.50\n");
}

TEST(Lines, TellWhatComputeHides) {
  OpResult op = report_fixture::make_op(Op::kDispatch, 1);
  RunOptions options;
  EXPECT_EQ(overlap_line(op, options), "");
  options.overlap_us = 50;
  op.overlap = {.receive_us = {{8}, {4}}, .exposed_us = {{2}, {1}}};
  EXPECT_EQ(overlap_line(op, options),
            "  dispatch: 50 us of compute hide 75 % of the receive half: 2.00 us of 8.00 us are "
            "left\n");
}

}  // namespace
}  // namespace llep
