// SPDX-License-Identifier: MIT
// Exchanges among all ranks, and probes of every pair, ranks as threads.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/host/probe_ranks.hpp"

namespace llep {
namespace {

using namespace probe_ranks;

std::vector<int> others_of(const Rank& rank) {
  std::vector<int> others;
  for (int r = 0; r < rank.world.size(); ++r) {
    if (r != rank.world.rank()) others.push_back(r);
  }
  return others;
}

class Exchanges : public testing::TestWithParam<RigSetup> {};

INSTANTIATE_TEST_SUITE_P(
    Wires, Exchanges,
    testing::Values(RigSetup{.num_ranks = 1}, RigSetup{}, RigSetup{.num_ranks = 4},
                    RigSetup{.fifo = true},
                    RigSetup{
                        .num_ranks = 3, .fifo = true, .num_proxies = 2, .channels_per_peer = 3}),
    name_of);

/// Several launches: each goes on with the epochs of the one before.
TEST_P(Exchanges, leave_the_last_epoch_and_everybodys_bytes) {
  with_ranks(GetParam(), [](Rank& rank) {
    ProbeMessages messages(rank.context(), rank.layout());
    const std::vector<int> others = others_of(rank);
    std::uint64_t epoch = 0;
    for (const std::uint64_t bytes : {std::uint64_t{128}, std::uint64_t{272}, kExchangeBytes}) {
      messages.fill(bytes, bytes);
      messages.poison(others, bytes);
      rank.world.barrier();
      for (const int rounds : {1, 9}) {
        rank.launcher->ping_pong(rank.transport->wire(), {.layout = rank.layout(),
                                                         .rank = rank.world.rank(),
                                                         .message_bytes = bytes,
                                                         .num_rounds = rounds,
                                                         .epoch = epoch});
        epoch += static_cast<std::uint64_t>(rounds);
      }
      EXPECT_EQ(rank.device.faults().record->phase, WaitPhase::kNone);
      for (const int source : others) {
        for (int warp = 0; warp < rank.layout().num_sharing(bytes); ++warp) {
          EXPECT_EQ(rank.word(rank.layout().arrived, source, warp), epoch)
              << "warp " << warp << " of rank " << source << ", a message of " << bytes;
        }
      }
      const auto wrong = messages.check(bytes, others, bytes);
      EXPECT_FALSE(wrong) << wrong->text;
      rank.world.barrier();
    }
  });
}

/// Who misses a message of a round sends none of the next, and says whose it is.
TEST(Exchange, ends_in_the_round_that_a_rank_is_missing_from) {
  for (const bool fifo : {false, true}) {
    with_ranks({.num_ranks = 3, .fifo = fifo}, [](Rank& rank) {
      rank.device.faults().timeout_ns = 1'000'000'000;
      const ProbeMessages messages(rank.context(), rank.layout());
      rank.world.barrier();
      constexpr int kMissing = 2;
      if (rank.world.rank() == kMissing) return;
      rank.launcher->ping_pong(rank.transport->wire(), {.layout = rank.layout(),
                                                       .rank = rank.world.rank(),
                                                       .message_bytes = 128,
                                                       .num_rounds = 5});
      EXPECT_EQ(rank.device.faults().record->phase, WaitPhase::kProbe);
      EXPECT_EQ(rank.device.faults().record->peer, kMissing);
      for (const int source : others_of(rank)) {
        EXPECT_EQ(rank.word(rank.layout().arrived, source, 0), source == kMissing ? 0U : 1U);
      }
    });
  }
}

TEST(Exchange, is_shared_by_as_many_warps_as_there_are) {
  const ProbeLayout wide =
      plan_probes({.num_ranks = 3, .num_warps = 8, .chunk_bytes = 16384, .sizes = {16}}).layout;
  EXPECT_EQ(wide.shared_by(1, kExchangeBytes).num_sharing(kExchangeBytes), 1);
  EXPECT_EQ(wide.shared_by(4, kExchangeBytes).num_sharing(kExchangeBytes), 4);
  EXPECT_EQ(wide.shared_by(16, kExchangeBytes).num_sharing(kExchangeBytes), 8);
  EXPECT_EQ(wide.shared_by(3, kExchangeBytes).num_sharing(kExchangeBytes), 3);
  EXPECT_EQ(wide.shared_by(3, kExchangeBytes).chunk_bytes % 16, 0U);
  EXPECT_GE(wide.window_bytes, kExchangeBytes);
  ProbeLayout narrow = wide;
  narrow.chunk_bytes = 128;
  EXPECT_EQ(narrow.shared_by(1, kExchangeBytes).chunk_bytes, 128U);
}

/// Every probe of a transport but its rings, with pairs: the names of those that were measured.
std::set<std::string> measured_names(Rank& rank) {
  RunOptions options;
  options.iters = 1;
  options.sizes = {8, 272};
  options.pairs = true;
  Watchdog watchdog(rank.world.rank(), [](ExitCode) {});
  const RankContext context = rank.context();
  ProbeLoop loop(context, watchdog, options, rank.layout());
  ProbeProgress progress;
  std::set<std::string> names;
  for (const Probe& probe : wire_probes(context, rank.layout(), options, progress)) {
    const ProbeOutcome outcome = loop.measure(probe);
    const std::string name = floor_name(outcome.floor);
    EXPECT_TRUE(names.insert(name).second) << name << " twice";
    EXPECT_EQ(outcome.code, ExitCode::kOk) << name << ": " << outcome.errors.front().message;
    EXPECT_EQ(outcome.floor.passed, *outcome.floor.bytes > 8 ? std::optional(true) : std::nullopt)
        << name;
    if (outcome.code != ExitCode::kOk) break;
  }
  return names;
}

TEST(Pairs, are_all_measured_once_and_verified) {
  for (const RigSetup& setup : {RigSetup{.num_ranks = 1}, RigSetup{.num_ranks = 4},
                                RigSetup{.num_ranks = 3, .fifo = true}}) {
    with_ranks(setup, [&](Rank& rank) {
      const std::set<std::string> names = measured_names(rank);
      const int n = setup.num_ranks;
      const std::string of = std::string(setup.fifo ? "fifo" : "ipc") + "/R" + std::to_string(n);
      std::size_t num_expected = 0;
      const auto expect = [&](const std::string& name) {
        EXPECT_TRUE(names.contains(name)) << name;
        ++num_expected;
      };
      for (int from = 0; from < n; ++from) {
        for (int to = 0; to < n; ++to) {
          const std::string pair = "/" + std::to_string(from) + "-" + std::to_string(to);
          if (from < to) expect("flag/" + of + pair + "/8");
          if (from != to) expect("put_stream/" + of + pair + "/272");
        }
      }
      // Besides: two latencies, the other stream of 0-1, two of all to all, an exchange.
      EXPECT_EQ(names.size(), num_expected + (n > 1 ? 6 : 0));
      EXPECT_EQ(names.contains("exchange/" + of + "/all/16384/w4"), n > 1);
    });
  }
}

TEST(Pairs, are_measured_with_the_largest_size_up_to_a_mebibyte) {
  EXPECT_EQ(size_of_pairs({8, 1 << 20, (1 << 20) + 16}), 1 << 20);
  EXPECT_EQ(size_of_pairs({8, 4096}), 4096);
  EXPECT_EQ(size_of_pairs({1 << 22, 1 << 24}), 1 << 22);
}

/// What --floors measure takes its rates from.
TEST(Rates, have_all_probes_that_floors_of_results_need) {
  with_ranks({.num_ranks = 3}, [](Rank& rank) {
    RunOptions options;
    options.sizes = {272, 1024};
    ProbeProgress progress;
    std::vector<std::string> names;
    const RankContext context = rank.context();
    for (const Probe& probe : rate_probes(context, rank.layout(), options, progress)) {
      names.push_back(floor_name(probe.floor));
    }
    EXPECT_EQ(names, (std::vector<std::string>{
                         "flag/ipc/R3/0-1/8", "flag/ipc/R3/0-2/8", "put_stream/ipc/R3/all/272",
                         "put_stream/ipc/R3/all/1024", "exchange/ipc/R3/all/16384/w4"}));
  });
}

}  // namespace
}  // namespace llep
