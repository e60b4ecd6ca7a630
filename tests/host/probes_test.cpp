// SPDX-License-Identifier: MIT
// The probes of `llep floors`, ranks as threads: the right words and bytes, over ipc and over a
// fifo with an in-process wire; and what ends them.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tests/host/probe_ranks.hpp"

namespace llep {
namespace {

using namespace probe_ranks;

TEST(ProbeLayout, shares_messages_out) {
  const ProbeLayout layout =
      plan_probes({.num_ranks = 3, .num_warps = 4, .chunk_bytes = 128, .sizes = kSizes}).layout;
  struct Expected {
    std::uint64_t bytes;
    int chunks, sharing, at_once;
  };
  for (const Expected& one : std::vector<Expected>{{0, 0, 1, 4},
                                                   {16, 1, 1, 4},
                                                   {128, 1, 1, 4},
                                                   {144, 2, 2, 2},
                                                   {272, 3, 3, 1},
                                                   {1024, 8, 4, 1}}) {
    EXPECT_EQ(layout.num_chunks(one.bytes), one.chunks) << one.bytes;
    EXPECT_EQ(layout.num_sharing(one.bytes), one.sharing) << one.bytes;
    EXPECT_EQ(layout.most_at_once(one.bytes), one.at_once) << one.bytes;
  }
  EXPECT_EQ(layout.window_bytes, kExchangeBytes);
  EXPECT_GE(layout.word(layout.answered, 0, 0), layout.word(layout.arrived, 2, 3) + 8);
  EXPECT_GE(layout.words_end(), layout.word(layout.answered, 2, 3) + 8);
  EXPECT_GE(layout.windows, layout.messages + layout.window_bytes);
}

class Probes : public testing::TestWithParam<RigSetup> {};

INSTANTIATE_TEST_SUITE_P(
    Wires, Probes,
    testing::Values(RigSetup{}, RigSetup{.num_ranks = 3}, RigSetup{.fifo = true},
                    RigSetup{
                        .num_ranks = 3, .fifo = true, .num_proxies = 2, .channels_per_peer = 3},
                    RigSetup{.fifo = true, .channels_per_peer = 2, .depth = 512}),
    name_of);

/// Two launches: the second goes on with the epochs of the first.
TEST_P(Probes, ping_pong_leaves_the_last_epoch_and_the_partners_bytes) {
  with_ranks(GetParam(), [](Rank& rank) {
    ProbeMessages messages(rank.context(), rank.layout());
    const int me = rank.world.rank();
    const int last = rank.world.size() - 1;
    const bool plays = me == 0 || me == last;
    const std::vector<int> sources = {me == 0 ? last : 0};
    std::uint64_t epoch = 0;
    std::vector<std::uint64_t> reached(4);
    for (const std::uint64_t bytes : kSizes) {
      messages.fill(bytes, bytes);
      messages.poison(sources, bytes);
      rank.world.barrier();
      for (const int rounds : {1, 5}) {
        const ProbeArgs args{.layout = rank.layout(),
                             .rank = me,
                             .partner = sources.front(),
                             .sends = me == 0,
                             .message_bytes = bytes,
                             .num_rounds = rounds,
                             .epoch = epoch};
        if (plays) rank.launcher->ping_pong(rank.transport->wire(), args);
        epoch += static_cast<std::uint64_t>(rounds);
      }
      EXPECT_EQ(rank.device.faults().record->phase, WaitPhase::kNone);
      for (int warp = 0; warp < rank.layout().num_sharing(bytes); ++warp) {
        reached[static_cast<std::size_t>(warp)] = epoch;
      }
      for (int warp = 0; plays && warp < 4; ++warp) {
        EXPECT_EQ(rank.word(rank.layout().arrived, sources.front(), warp),
                  reached[static_cast<std::size_t>(warp)])
            << "warp " << warp << " of a message of " << bytes;
      }
      if (plays) {
        const auto wrong = messages.check(bytes, sources, bytes);
        EXPECT_FALSE(wrong) << wrong->text;
      }
      rank.world.barrier();
    }
  });
}

/// The last share of rank 1's first message is missing: nothing of rank 0's second one leaves.
TEST(PingPong, answers_a_whole_message) {
  with_ranks({}, [](Rank& rank) {
    const ProbeLayout& layout = rank.layout();
    const std::uint64_t bytes = kSizes.back();
    const int num_sharing = layout.num_sharing(bytes);
    ASSERT_GT(num_sharing, 1);
    if (rank.world.rank() == 0) {
      rank.device.faults().timeout_ns = 200'000'000;
      for (int warp = 0; warp < num_sharing - 1; ++warp) {
        const std::uint64_t one = 1;
        std::memcpy(rank.heap.base() + layout.word(layout.arrived, 1, warp), &one, sizeof one);
      }
      rank.launcher->ping_pong(
          rank.transport->wire(),
          {.layout = layout, .partner = 1, .message_bytes = bytes, .num_rounds = 2});
      EXPECT_EQ(rank.device.faults().record->phase, WaitPhase::kProbe);
    }
    rank.world.barrier();
    for (int warp = 0; rank.world.rank() == 1 && warp < num_sharing; ++warp) {
      EXPECT_EQ(rank.word(layout.arrived, 0, warp), 1U) << "warp " << warp;
    }
  });
}

TEST_P(Probes, streams_from_all_to_all_arrive_whole_and_are_answered) {
  with_ranks(GetParam(), [](Rank& rank) {
    ProbeMessages messages(rank.context(), rank.layout());
    const int me = rank.world.rank();
    std::vector<int> others;
    for (int r = 0; r < rank.world.size(); ++r) {
      if (r != me) others.push_back(r);
    }
    std::uint64_t epoch = 0;
    for (const std::uint64_t bytes : kSizes) {
      const int at_once = rank.layout().most_at_once(bytes);
      const std::uint64_t all = static_cast<std::uint64_t>(at_once) * bytes;
      messages.fill(bytes + 1, all);
      messages.poison(others, all);
      rank.world.barrier();
      rank.launcher->stream(rank.transport->wire(), {.layout = rank.layout(),
                                                     .rank = me,
                                                     .message_bytes = bytes,
                                                     .num_at_once = at_once,
                                                     .num_rounds = 7,
                                                     .epoch = epoch});
      epoch += 7;
      EXPECT_EQ(rank.device.faults().record->phase, WaitPhase::kNone);
      for (const int source : others) {
        EXPECT_EQ(rank.word(rank.layout().arrived, source, 0), epoch);
        EXPECT_EQ(rank.word(rank.layout().answered, source, 0), epoch);
      }
      const auto wrong = messages.check(bytes + 1, others, all);
      EXPECT_FALSE(wrong) << wrong->text;
      rank.world.barrier();
    }
  });
}

/// Everything that `llep floors` measures of a transport.
TEST_P(Probes, all_are_measured_and_verified) {
  with_ranks(GetParam(), [&](Rank& rank) {
    RunOptions options;
    options.iters = 2;
    options.sizes = {8, 16, 272, 1024};
    Watchdog watchdog(rank.world.rank(), [](ExitCode) {});
    const RankContext context = rank.context();
    ProbeLoop loop(context, watchdog, options, rank.layout());
    ProbeProgress progress;
    std::vector<Probe> probes = wire_probes(context, rank.layout(), options, progress);
    const auto num_wire_probes = static_cast<std::size_t>(rank.world.size() - 1 + 3 * 4 + 1);
    EXPECT_EQ(probes.size(), num_wire_probes);
    for (Probe& probe : ring_probes(context, progress)) probes.push_back(std::move(probe));
    EXPECT_EQ(probes.size() > num_wire_probes, GetParam().fifo);
    std::vector<std::string> names;
    for (const Probe& probe : probes) {
      const ProbeOutcome outcome = loop.measure(probe);
      const Floor& floor = outcome.floor;
      names.push_back(floor_name(floor));
      ASSERT_EQ(outcome.code, ExitCode::kOk) << names.back() << outcome.errors.front().message;
      EXPECT_EQ(floor.round_us.size(), 2U);
      EXPECT_EQ(floor.passed.has_value(), !floor.ring && *floor.bytes > 8) << names.back();
      EXPECT_NE(floor.passed, std::optional(false)) << names.back();
      EXPECT_NE(trip_us(floor).has_value(), per_second(floor).has_value()) << names.back();
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  });
}

TEST(ProbeLoop, finds_a_wrong_byte) {
  with_ranks({}, [](Rank& rank) {
    RunOptions options;
    options.iters = 1;
    options.sizes = {272};
    Watchdog watchdog(rank.world.rank(), [](ExitCode) {});
    const RankContext context = rank.context();
    ProbeLoop loop(context, watchdog, options, rank.layout());
    ProbeProgress progress;
    std::vector<Probe> probes = wire_probes(context, rank.layout(), options, progress);
    Probe& probe = *std::find_if(probes.begin(), probes.end(), [](const Probe& one) {
      return one.floor.probe == ProbeKind::kPutStream && !one.floor.to;  // all to all
    });
    if (rank.world.rank() == 1) {
      probe.launch = [&rank, launch = probe.launch](int num_rounds) {
        launch(num_rounds);
        rank.heap.base()[rank.layout().window(0) + 24] ^= std::byte{1};
      };
    }
    const ProbeOutcome outcome = loop.measure(probe);
    EXPECT_EQ(outcome.code, ExitCode::kWrongData);
    EXPECT_EQ(outcome.floor.passed, std::optional(false));
    ASSERT_EQ(outcome.errors.size(), 1U);
    EXPECT_EQ(outcome.errors[0].rank, 1);
    EXPECT_EQ(outcome.errors[0].peer, 0);
    EXPECT_NE(outcome.errors[0].message.find("rank 1: put_stream/ipc/R2/all/272: messages of rank "
                                             "0: byte 24 of 272: expected 0x"),
              std::string::npos)
        << outcome.errors[0].message;
  });
}

TEST(ProbeLoop, a_partner_that_never_answers_ends_in_its_name) {
  for (const bool fifo : {false, true}) {
    with_ranks({.num_ranks = 3, .fifo = fifo}, [](Rank& rank) {
      rank.device.faults().timeout_ns = 200'000'000;
      RunOptions options;
      options.timeout_ms = 200;
      Watchdog watchdog(rank.world.rank(), [](ExitCode) {});
      const RankContext context = rank.context();
      ProbeLoop loop(context, watchdog, options, rank.layout());
      ProbeProgress progress;
      Probe probe = wire_probes(context, rank.layout(), options, progress)[1];  // flag 0 <-> 2
      if (rank.world.rank() == 2) probe.launch = {};
      const ProbeOutcome outcome = loop.measure(probe);
      EXPECT_EQ(outcome.code, ExitCode::kDeadline);
      EXPECT_TRUE(outcome.floor.round_us.empty());
      ASSERT_FALSE(outcome.errors.empty());
      EXPECT_EQ(outcome.errors[0].phase, "probe: message");
      EXPECT_EQ(outcome.errors[0].rank, 0);
      EXPECT_EQ(outcome.errors[0].peer, 2);
    });
  }
}

TEST(ProbeLoop, a_proxy_that_stands_still_or_ends_is_told_of) {
  for (const bool broken : {false, true}) {
    with_ranks({.fifo = true}, [&](Rank& rank) {
      rank.device.faults().timeout_ns = broken ? kTimeoutNs : 200'000'000;
      RunOptions options;
      options.timeout_ms = 200;
      Watchdog watchdog(rank.world.rank(), [](ExitCode) {});
      const RankContext context = rank.context();
      ProbeLoop loop(context, watchdog, options, rank.layout());
      ProbeProgress progress;
      const std::vector<Probe> probes = broken
                                            ? wire_probes(context, rank.layout(), options, progress)
                                            : ring_probes(context, progress);
      if (rank.world.rank() == 0) {
        broken ? rank.transport->break_link() : rank.transport->stall_proxies();
      }
      // The other rank of a ping-pong waits no longer than it must.
      if (broken && rank.world.rank() == 1) rank.device.faults().timeout_ns = 1'000'000'000;
      const ProbeOutcome outcome = loop.measure(probes.front());
      EXPECT_EQ(outcome.code, broken ? ExitCode::kInternal : ExitCode::kDeadline);
      ASSERT_FALSE(outcome.errors.empty());
      EXPECT_EQ(outcome.errors[0].rank, 0);
      EXPECT_EQ(outcome.errors[0].phase, broken ? "transport" : "fifo: drain");
    });
  }
}

TEST(RingProbe, every_descriptor_is_complete_at_the_end) {
  const RigSetup setup{.num_ranks = 1, .fifo = true, .num_proxies = 3, .depth = 16};
  with_ranks(setup, [](Rank& rank) {
    const AnyWire wire = rank.transport->wire();
    const FifoWire& fifo = std::get<HybridWire<FifoWire>>(wire).far;
    std::vector<std::uint64_t> heads(3);
    for (const RingProbe& use :
         {RingProbe{.num_rounds = 50, .answered = true}, RingProbe{.batch = 16, .num_rounds = 30},
          RingProbe{.num_warps = 4, .batch = 5, .num_rounds = 20},
          RingProbe{.num_rings = 3, .num_warps = 4, .batch = 7, .num_rounds = 20}}) {
      RingProbe work = use;
      std::copy_n(fifo.rings, 3, work.rings);
      std::copy(heads.begin(), heads.end(), work.heads);
      for (int r = 0; r < work.num_rings; ++r) {
        heads[static_cast<std::size_t>(r)] += work.num_pushed(r);
      }
      rank.launcher->push(work);
      EXPECT_EQ(rank.device.faults().record->phase, WaitPhase::kNone);
      for (std::size_t r = 0; r < heads.size(); ++r) {
        EXPECT_EQ(load(fifo.rings[r].head), heads[r]);
        EXPECT_EQ(load(fifo.rings[r].completed), heads[r]);
      }
    }
    EXPECT_EQ(heads, (std::vector<std::uint64_t>{50 + 480 + 400 + 280, 140, 140}));
  });
}

}  // namespace
}  // namespace llep
