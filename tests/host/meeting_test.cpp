// SPDX-License-Identifier: MIT
// Meetings of devices, and the device clock of ops: over ipc and a fifo, with 1 to 5 ranks.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <vector>

#include "bench/device_meeting.hpp"
#include "tests/host/thread_ranks.hpp"

namespace llep {
namespace {

RanksSetup setup_of(int num_ranks, bool over_fifo) {
  RanksSetup setup{.axes = {.shape = {.num_ranks = num_ranks,
                                      .num_experts = 2 * num_ranks,
                                      .max_tokens = 3,
                                      .hidden = 256,
                                      .num_topk = 2}},
                   .device = {.num_blocks = 3, .warps_per_block = 2, .concurrent_blocks = 1}};
  if (over_fifo) setup.fifo = LoopFifo{.ranks_per_node = 2};
  return setup;
}

RankContext context_of(ThreadRank& rank, const Nodes& nodes) {
  return {.world = rank.world(),
          .device = rank.device(),
          .launcher = rank.launcher(),
          .transport = rank.transport(),
          .heap = rank.heap(),
          .nodes = nodes};
}

class EveryWorld : public testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  RanksSetup setup() const { return setup_of(std::get<0>(GetParam()), std::get<1>(GetParam())); }
  int num_ranks() const { return std::get<0>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Meetings, EveryWorld,
                         testing::Combine(testing::Values(1, 2, 3, 5), testing::Bool()),
                         [](const auto& one) {
                           return "R" + std::to_string(std::get<0>(one.param)) +
                                  (std::get<1>(one.param) ? "_fifo" : "_ipc");
                         });

TEST_P(EveryWorld, nobody_leaves_before_all_have_come) {
  constexpr int kMeetings = 6;
  std::atomic<int> come = 0;
  with_ranks(setup(), [&](ThreadRank& rank) {
    const Nodes nodes;
    const RankContext context = context_of(rank, nodes);
    DeviceMeeting meeting(context);
    for (int i = 1; i <= kMeetings; ++i) {
      ++come;
      meeting.start(rank.plan().layout.meetings);
      EXPECT_GE(come.load(), i * num_ranks());
      if (i == 3) rank.chain("dc", Phases::kFused);  // ops between them are right
    }
    EXPECT_EQ(rank.fault().phase, WaitPhase::kNone);
  });
}

TEST_P(EveryWorld, clocks_that_are_one_differ_by_no_more_than_the_error) {
  with_ranks(setup(), [&](ThreadRank& rank) {
    const Nodes nodes;
    const RankContext context = context_of(rank, nodes);
    DeviceMeeting meeting(context);
    for (int i = 0; i < 3; ++i) {
      meeting.start(rank.plan().layout.meetings);
      meeting.collect();
      const ClockOffsets offsets = meeting.offsets();
      ASSERT_EQ(offsets.ns.size(), static_cast<std::size_t>(num_ranks()));
      EXPECT_EQ(offsets.ns[0], 0);
      for (const std::int64_t ns : offsets.ns) {
        EXPECT_LE(static_cast<double>(std::abs(ns)), offsets.error_us * 1e3);
      }
      EXPECT_EQ(offsets.error_us > 0, num_ranks() > 1);
    }
  });
}

TEST(Meeting, a_rank_that_stays_away_is_named) {
  RanksSetup setup = setup_of(3, false);
  setup.timeout_ns = 400'000'000;
  with_ranks(setup, [](ThreadRank& rank) {
    const Nodes nodes;
    const RankContext context = context_of(rank, nodes);
    DeviceMeeting meeting(context);
    rank.world().barrier();
    if (rank.rank() != 2) meeting.start(rank.plan().layout.meetings);
    rank.world().barrier();
    if (rank.rank() == 2) return;
    EXPECT_EQ(rank.fault().phase, WaitPhase::kMeeting);
    if (rank.rank() != 0) return;  // it waits for rank 0, which waits for rank 2, or for all
    EXPECT_EQ(rank.fault().peer, 2);
    EXPECT_EQ(rank.fault().expected, 1U);
  });
}

TEST(Compute, lasts_at_least_as_long_as_asked) {
  HostDevice device(0, {});
  const auto launcher = make_launcher(device);
  device.mark(0);
  launcher->compute({.ns = 2'000'000});
  device.mark(3);
  EXPECT_GE(device.elapsed_us(0, 3), 2'000);
}

TEST(DeviceClock, holds_the_ops_since_it_was_chosen) {
  with_ranks(setup_of(2, false), [](ThreadRank& rank) {
    CaseRun& run = rank.run();
    for (const auto phases : {Phases::kFused, Phases::kSplit}) {
      run.clear_clocks();
      for (int clock = 0; clock < ExpertParallel::kNumClocks; ++clock) {
        EXPECT_EQ(run.op_times(clock).first_ns, 0U);
      }
      const std::uint64_t start = host::now_ns();
      run.use_clock(1);
      rank.dispatch(phases);
      const BlockTimes one = run.op_times(1);
      rank.combine(phases);
      const BlockTimes both = run.op_times(1);
      EXPECT_EQ(run.op_times(0).first_ns, 0U);
      run.use_clock(0);
      rank.dispatch(phases);
      run.use_clock(-1);
      rank.combine(phases);
      const BlockTimes other = run.op_times(0);
      EXPECT_GE(one.first_ns, start);
      EXPECT_GT(one.last_ns, one.first_ns);
      EXPECT_EQ(both.first_ns, one.first_ns);
      EXPECT_GT(both.last_ns, one.last_ns);
      EXPECT_EQ(run.op_times(1).last_ns, both.last_ns);
      EXPECT_GE(other.first_ns, both.last_ns);
      EXPECT_LE(other.last_ns, host::now_ns());
    }
  });
}

}  // namespace
}  // namespace llep
