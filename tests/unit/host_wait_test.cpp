// SPDX-License-Identifier: MIT
// Signals, waits and their deadlines on the host executor.
#include <array>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"

namespace llep {
namespace {

constexpr GridShape kNoMemory = {.stage_bytes = 128};
constexpr std::uint64_t kHour = 3'600'000'000'000;
constexpr std::uint64_t kSoon = 20'000'000;

/// Runs one wait for `word` on a device of one warp.
bool wait_for(HostDevice& device, const std::uint64_t* word, std::uint64_t epoch) {
  bool ok = false;
  device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    ok = warp.wait_all(
        1, [&](int) { return Awaited{.word = word, .peer = 3, .expert = 17, .token = 5}; }, epoch,
        WaitPhase::kDispatchRow);
  });
  return ok;
}

constexpr HostDeviceOptions kOneWarp = {.num_blocks = 1, .warps_per_block = 1};

TEST(HostWait, returns_at_the_epoch_or_later_and_survives_a_wrap) {
  HostDevice device(0, kOneWarp);
  device.faults().timeout_ns = kHour;
  const std::array<std::array<std::uint64_t, 2>, 5> reached_pairs = {
      {{0, 0}, {7, 7}, {8, 7}, {0, ~std::uint64_t{0}}, {3, ~std::uint64_t{0} - 5}}};
  for (const auto& [seen, epoch] : reached_pairs) {
    const std::uint64_t word = seen;
    EXPECT_TRUE(wait_for(device, &word, epoch)) << seen << " for " << epoch;
  }
  EXPECT_TRUE(wait_for(device, nullptr, 9));
  EXPECT_EQ(device.faults().record->phase, WaitPhase::kNone);
}

TEST(HostWait, an_earlier_epoch_is_not_enough) {
  for (const auto& [seen, epoch] :
       {std::array<std::uint64_t, 2>{6, 7}, {~std::uint64_t{0}, 0}, {~std::uint64_t{0} - 5, 3}}) {
    HostDevice device(0, kOneWarp);
    device.faults().timeout_ns = kSoon;
    const std::uint64_t word = seen;
    EXPECT_FALSE(wait_for(device, &word, epoch)) << seen << " for " << epoch;
  }
}

TEST(HostWait, what_was_written_before_the_signal_is_seen_behind_the_wait) {
  // Two devices, as two ranks: rows of plain memory handed to and fro, 33 words a signal.
  constexpr int kWords = 33;
  constexpr int kRounds = 200;
  std::array<std::array<std::uint64_t, kWords>, 2> words = {};
  std::array<std::uint64_t, 2> read = {};  // the peer has read the row of this round
  std::array<std::array<int, 64>, 2> rows = {};
  const auto rank = [&](std::size_t me) {
    HostDevice device(static_cast<int>(me), {.num_blocks = 1, .warps_per_block = 2});
    device.faults().timeout_ns = kHour;
    device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
      for (int round = 1; round <= kRounds; ++round) {
        const auto epoch = static_cast<std::uint64_t>(round);
        if (warp.index() == 0) {
          warp.for_each(64, [&](int i) { rows[me][static_cast<std::size_t>(i)] = round + i; });
        }
        warp.block_sync();
        if (warp.index() == 1) {  // the other warp wrote: the block's sync orders it
          warp.signal(
              kWords, [&](int i) { return &words[1 - me][static_cast<std::size_t>(i)]; }, epoch);
          ASSERT_TRUE(warp.wait_all(
              kWords, [&](int i) { return Awaited{&words[me][static_cast<std::size_t>(i)]}; },
              epoch, WaitPhase::kCombineBegin));
          for (int i = 0; i < 64; ++i) {
            ASSERT_EQ(rows[1 - me][static_cast<std::size_t>(i)], round + i);
          }
          warp.signal(1, [&](int) { return &read[1 - me]; }, epoch);
          ASSERT_TRUE(warp.wait_all(
              1, [&](int) { return Awaited{&read[me]}; }, epoch, WaitPhase::kCombineBegin));
        }
        warp.block_sync();
      }
    });
  };
  std::thread peer(rank, 1);
  rank(0);
  peer.join();
}

TEST(HostWait, a_null_target_of_a_signal_is_left_out) {
  std::array<std::uint64_t, 3> words = {};
  HostDevice device(0, kOneWarp);
  device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    warp.signal(
        3, [&](int i) { return i == 1 ? nullptr : &words[static_cast<std::size_t>(i)]; }, 42);
  });
  EXPECT_EQ(words, (std::array<std::uint64_t, 3>{42, 0, 42}));
}

TEST(HostWait, a_passed_deadline_leaves_all_there_is_to_know) {
  HostDevice device(6, kOneWarp);
  device.faults().timeout_ns = kSoon;
  const std::uint64_t word = 4;
  device.mark(0);
  EXPECT_FALSE(wait_for(device, &word, 5));
  device.mark(1);
  EXPECT_GE(device.elapsed_us(0, 1) * 1e3, static_cast<double>(kSoon));
  const FaultRecord& record = *device.faults().record;
  EXPECT_EQ(record.phase, WaitPhase::kDispatchRow);
  EXPECT_EQ(record.rank, 6);
  EXPECT_EQ(record.peer, 3);
  EXPECT_EQ(record.expert, 17);
  EXPECT_EQ(record.token, 5);
  EXPECT_EQ(record.expected, 5U);
  EXPECT_EQ(record.seen, 4U);
  EXPECT_NE(*device.faults().raised, 0U);
}

TEST(HostWait, later_waits_give_up_at_once) {
  HostDevice device(0, kOneWarp);
  device.faults().timeout_ns = kSoon;
  const std::uint64_t word = 0;
  EXPECT_FALSE(wait_for(device, &word, 1));
  device.faults().timeout_ns = kHour;  // CTest's own deadline is far earlier
  for (std::uint64_t epoch = 2; epoch < 100; ++epoch) EXPECT_FALSE(wait_for(device, &word, epoch));
  EXPECT_EQ(device.faults().record->expected, 1U);  // the first record stays
}

TEST(HostWait, waits_under_way_give_up_when_another_fails_and_one_record_wins) {
  constexpr int kWarps = 6;
  HostDevice device(0, {.num_blocks = 1, .warps_per_block = kWarps});
  device.faults().timeout_ns = 50'000'000;
  const std::uint64_t word = 0;
  std::array<bool, kWarps> ok = {};
  device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    const int me = warp.index();
    // All fields of a record tell the same warp, so that a mixture of two would be seen.
    ok[static_cast<std::size_t>(me)] = warp.wait_all(
        1, [&](int) { return Awaited{.word = &word, .peer = me, .expert = me, .token = me}; },
        static_cast<std::uint64_t>(me) + 1, WaitPhase::kCombineRow);
  });
  for (const bool one : ok) EXPECT_FALSE(one);
  const FaultRecord& record = *device.faults().record;
  EXPECT_GE(record.peer, 0);
  EXPECT_EQ(record.expert, record.peer);
  EXPECT_EQ(record.token, record.peer);
  EXPECT_EQ(record.expected, static_cast<std::uint64_t>(record.peer) + 1);
}

TEST(HostWait, deadlines_that_pass_together_leave_one_whole_record) {
  constexpr int kWarps = 4;
  HostDevice device(0, {.num_blocks = 1, .warps_per_block = kWarps});
  device.faults().timeout_ns = 0;
  const std::uint64_t word = 0;
  for (int round = 0; round < 300; ++round) {
    *device.faults().raised = 0;
    *device.faults().record = {};
    device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
      const int me = warp.index();
      warp.block_sync();
      EXPECT_FALSE(warp.wait_all(
          1, [&](int) { return Awaited{.word = &word, .peer = me, .expert = me, .token = me}; },
          static_cast<std::uint64_t>(me) + 1, WaitPhase::kCombineRow));
    });
    const FaultRecord& record = *device.faults().record;
    ASSERT_EQ(record.phase, WaitPhase::kCombineRow);
    ASSERT_EQ(record.expert, record.peer);
    ASSERT_EQ(record.token, record.peer);
    ASSERT_EQ(record.expected, static_cast<std::uint64_t>(record.peer) + 1);
  }
}

TEST(HostWait, stops_at_the_first_word_that_never_comes) {
  HostDevice device(0, kOneWarp);
  device.faults().timeout_ns = kSoon;
  const std::array<std::uint64_t, 4> words = {1, 1, 0, 0};
  device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    EXPECT_FALSE(warp.wait_all(
        4,
        [&](int i) {
          return Awaited{.word = &words[static_cast<std::size_t>(i)], .peer = i};
        },
        1, WaitPhase::kDispatchRouting));
  });
  EXPECT_EQ(device.faults().record->peer, 2);
  EXPECT_EQ(device.faults().record->expert, -1);
}

}  // namespace
}  // namespace llep
