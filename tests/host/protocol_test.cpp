// SPDX-License-Identifier: MIT
// The protocol under bad timing and faults: ranks that come late or run ahead, signals that never
// come, halves in the wrong order.
#include <chrono>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "common/error.hpp"
#include "tests/host/thread_ranks.hpp"

namespace llep {
namespace {

void sleep_us(int us) { std::this_thread::sleep_for(std::chrono::microseconds(us)); }

constexpr MoeShape kTiny = {
    .num_ranks = 3, .num_experts = 6, .max_tokens = 3, .hidden = 128, .num_topk = 2};

/// Every token of every rank to the given experts.
std::function<RankRouting(int)> all_to(const MoeShape& shape,
                                       const std::function<std::int64_t(int rank, int k)>& expert) {
  return [=](int rank) {
    RankRouting routing{.num_tokens = shape.max_tokens, .topk_idx = {}, .weights = {}};
    for (int i = 0; i < shape.max_tokens * shape.num_topk; ++i) {
      routing.topk_idx.push_back(expert(rank, i % shape.num_topk));
      routing.weights.push_back(1.5F);
    }
    return routing;
  };
}

TEST(Timing, random_sleeps_between_ops) {
  const int rounds = kThreadSanitizer ? 60 : 200;
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const Phases phases : {Phases::kFused, Phases::kSplit}) {
      with_ranks({.axes = {.shape = kTiny, .dtype = dtype},
                  .device = {.num_blocks = 2, .warps_per_block = 2}},
                 [&](ThreadRank& rank) {
                   std::mt19937 random(static_cast<unsigned>(rank.rank()));
                   for (int round = 0; round < rounds; ++round) {
                     const auto epoch = static_cast<std::uint64_t>(2 * round);
                     if (random() % 3 == 0) sleep_us(static_cast<int>(random() % 800));
                     rank.chain("d", phases, epoch);
                     if (random() % 3 == 0) sleep_us(static_cast<int>(random() % 800));
                     if (round % 4 != 3) rank.chain("c", phases, epoch + 1);
                     if (testing::Test::HasFailure()) break;
                   }
                 });
    }
  }
}

TEST(Timing, one_late_rank) {
  for (int late = 0; late < kTiny.num_ranks; ++late) {
    with_ranks({.axes = {.shape = kTiny}}, [&](ThreadRank& rank) {
      for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
        if (rank.rank() == late) sleep_us(5'000);
        rank.chain("d", Phases::kFused, 2 * epoch);
        if (rank.rank() == late) sleep_us(5'000);
        rank.chain("c", Phases::kFused, 2 * epoch + 1);
      }
    });
  }
}

/// All ranks but the last run one op of a kind ahead of it: the next op's rows and signals are
/// there when its receive half begins.
template <class Send, class Receive, class Check>
void run_ahead(ThreadRank& rank, std::uint64_t epoch, Send send, Receive receive, Check check) {
  const bool last = rank.rank() == rank.world().size() - 1;
  rank.refill(epoch);
  send();
  if (!last) {
    receive();
    check(epoch);
    rank.refill(epoch + 1);
    send();
  }
  rank.world().barrier();
  if (last) {
    receive();
    check(epoch);
    rank.refill(epoch + 1);
    send();
  }
  receive();
  check(epoch + 1);
}

TEST(Timing, peers_one_op_ahead_use_the_other_buffer) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const auto copies : {DispatchCopies::kRank, DispatchCopies::kSelection}) {
      with_ranks({.axes = {.shape = kTiny, .dtype = dtype, .copies = copies}},
                 [](ThreadRank& rank) {
                   CaseRun& run = rank.run();
                   for (std::uint64_t epoch = 1; epoch < 40; epoch += 10) {
                     run_ahead(
                         rank, epoch, [&] { run.dispatch(Halves::kSend); },
                         [&] { run.dispatch(Halves::kReceive); },
                         [&](std::uint64_t e) { rank.expect_dispatched(e); });
                     run_ahead(
                         rank, epoch + 5, [&] { run.combine(Halves::kSend); },
                         [&] { run.combine(Halves::kReceive); },
                         [&](std::uint64_t e) { rank.expect_combined(e); });
                   }
                 });
    }
  }
}

TEST(Timing, a_combine_overlaps_the_next_dispatch) {
  with_ranks({.axes = {.shape = kTiny}}, [](ThreadRank& rank) {
    rank.chain("d", Phases::kFused);
    for (std::uint64_t epoch = 2; epoch < 12; ++epoch) {
      rank.refill(epoch);
      rank.run().dispatch(Halves::kSend);
      rank.run().combine(Halves::kSend);
      rank.run().combine(Halves::kReceive);
      rank.expect_combined(epoch);
      rank.run().dispatch(Halves::kReceive);
      rank.expect_dispatched(epoch);
    }
  });
}

TEST(Timing, a_rank_that_expects_nothing_of_a_late_peer_stays_at_most_one_op_ahead) {
  // Rank 1 gets its rows from rank 0, rank 0 none from rank 1: only the begin signals hold it back
  // from overwriting rows that rank 1 has not read.
  constexpr MoeShape kPair = {
      .num_ranks = 2, .num_experts = 2, .max_tokens = 2, .hidden = 128, .num_topk = 1};
  with_ranks({.axes = {.shape = kPair}, .routing = all_to(kPair, [](int, int) { return 0; })},
             [](ThreadRank& rank) {
               rank.chain("d", Phases::kFused);
               rank.world().barrier();
               for (std::uint64_t epoch = 1; epoch <= 6; ++epoch) {
                 if (rank.rank() == 1) sleep_us(30'000);
                 rank.chain("c", Phases::kFused, epoch);
               }
             });
}

constexpr MoeShape kThree = {
    .num_ranks = 3, .num_experts = 6, .max_tokens = 2, .hidden = 256, .num_topk = 1};

/// Rank r's tokens all go to the first expert of rank r + 1.
std::function<RankRouting(int)> to_the_next() {
  return all_to(kThree, [](int rank, int) { return (rank + 1) % 3 * 2; });
}

RanksSetup faulty(DispatchDtype dtype) {
  // Only the rank that misses the signal waits to the end of its deadline.
  return {.axes = {.shape = kThree, .dtype = dtype},
          .device = {.num_blocks = 2, .warps_per_block = 3},
          .routing = to_the_next(),
          .timeout_ns = kThreadSanitizer ? 3'000'000'000U : 700'000'000U};
}

void expect_fault(const FaultRecord& fault, const FaultRecord& expected) {
  EXPECT_EQ(fault.phase, expected.phase) << to_string(fault.phase);
  EXPECT_EQ(fault.rank, expected.rank);
  EXPECT_EQ(fault.peer, expected.peer);
  EXPECT_EQ(fault.expert, expected.expert);
  EXPECT_EQ(fault.token, expected.token);
  EXPECT_EQ(fault.expected, expected.expected);
  EXPECT_EQ(fault.seen, expected.seen);
}

TEST(Faults, a_dropped_dispatch_signal_is_named_where_it_is_missed) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const bool split : {false, true}) {
      with_ranks(faulty(dtype), [&](ThreadRank& rank) {
        const Phases phases = split ? Phases::kSplit : Phases::kFused;
        rank.chain("dcdc", phases);
        rank.world().barrier();
        if (rank.rank() == 1) rank.run().drop_dispatched_signal();
        rank.refill(9);
        rank.dispatch(phases);
        const FaultRecord none;
        // Epoch 3 of dispatch lies where epoch 1 was.
        expect_fault(rank.fault(), rank.rank() != 2 ? none
                                                    : FaultRecord{.phase = WaitPhase::kDispatchRow,
                                                                  .rank = 2,
                                                                  .peer = 1,
                                                                  .expert = 4,
                                                                  .token = 0,
                                                                  .expected = 3,
                                                                  .seen = 1});
        if (rank.rank() != 2) rank.expect_dispatched(9);
      });
    }
  }
}

TEST(Faults, a_dropped_combine_signal_is_named_where_it_is_missed) {
  if (kThreadSanitizer) GTEST_SKIP() << "the row whose signal is missing is read all the same";
  for (const bool split : {false, true}) {
    with_ranks(faulty(DispatchDtype::kBf16), [&](ThreadRank& rank) {
      const Phases phases = split ? Phases::kSplit : Phases::kFused;
      rank.chain("dcd", phases);
      rank.world().barrier();
      if (rank.rank() == 0) rank.run().drop_expert_signal();
      rank.refill(9);
      rank.combine(phases);
      // Rank 0 owes rank 2 its rows back.
      expect_fault(rank.fault(), rank.rank() != 2 ? FaultRecord{}
                                                  : FaultRecord{.phase = WaitPhase::kCombineRow,
                                                                .rank = 2,
                                                                .peer = 0,
                                                                .expert = 0,
                                                                .token = 0,
                                                                .expected = 2,
                                                                .seen = 0});
      if (rank.rank() != 2) rank.expect_combined(9);
    });
  }
}

TEST(Faults, every_rank_returns_when_one_takes_no_part) {
  RanksSetup setup = faulty(DispatchDtype::kBf16);
  setup.timeout_ns = 200'000'000;
  with_ranks(setup, [](ThreadRank& rank) {
    if (rank.rank() == 1) return;
    rank.dispatch(Phases::kFused);
    EXPECT_EQ(rank.fault().phase, WaitPhase::kDispatchRouting);
    EXPECT_EQ(rank.fault().peer, 1);
    EXPECT_EQ(rank.fault().rank, rank.rank());
    EXPECT_EQ(rank.fault().expected, 1U);
    EXPECT_EQ(rank.fault().seen, 0U);
    const FaultRecord first = rank.fault();
    if (kThreadSanitizer) return;  // what is read and sent after a fault is nobody's, and races
    rank.combine(Phases::kFused);  // gives up at once
    expect_fault(rank.fault(), first);
  });
}

TEST(Faults, a_missing_combine_is_noticed_by_ranks_that_expect_no_rows) {
  RanksSetup setup = faulty(DispatchDtype::kBf16);
  setup.timeout_ns = kThreadSanitizer ? 2'000'000'000U : 500'000'000U;
  setup.routing = all_to(kThree, [](int, int) { return -1; });
  with_ranks(setup, [](ThreadRank& rank) {
    rank.chain("dc", Phases::kFused);
    rank.world().barrier();
    if (rank.rank() == 1) return;
    rank.combine(Phases::kFused);
    expect_fault(rank.fault(), FaultRecord{.phase = WaitPhase::kCombineBegin,
                                           .rank = rank.rank(),
                                           .peer = 1,
                                           .expected = 2,
                                           .seen = 0});
  });
}

template <class F>
void expect_refused(F f) {
  try {
    f();
    ADD_FAILURE() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kInternal);
    EXPECT_NE(std::string(error.what()).find("half"), std::string::npos) << error.what();
  }
}

TEST(Order, halves_in_the_wrong_order_are_refused_and_change_nothing) {
  with_ranks({.axes = {.shape = kTiny}}, [](ThreadRank& rank) {
    CaseRun& run = rank.run();
    expect_refused([&] { run.dispatch(Halves::kReceive); });
    expect_refused([&] { run.combine(Halves::kReceive); });
    rank.refill(1);
    run.dispatch(Halves::kSend);
    expect_refused([&] { run.dispatch(Halves::kSend); });
    expect_refused([&] { run.dispatch(Halves::kBoth); });
    run.dispatch(Halves::kReceive);
    rank.expect_dispatched(1);
    expect_refused([&] { run.dispatch(Halves::kReceive); });
    run.combine(Halves::kSend);
    expect_refused([&] { run.combine(Halves::kSend); });
    run.combine(Halves::kReceive);
    rank.expect_combined(1);
    rank.chain("dcdc", Phases::kSplit, 10);
  });
}

}  // namespace
}  // namespace llep
