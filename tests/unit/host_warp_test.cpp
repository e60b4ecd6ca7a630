// SPDX-License-Identifier: MIT
// What warps and row pipes of the host executor do; waits are host_wait_test's.
#include "common/exec/host_executor.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "tests/unit/lone_warp.hpp"

namespace llep {
namespace {

constexpr GridShape kNoMemory = {.stage_bytes = 128};

std::size_t size(int n) { return static_cast<std::size_t>(n); }

TEST(HostWarp, for_each_visits_each_index_once_and_backwards_if_asked) {
  for (const int n : {0, 1, 31, 32, 33, 100}) {
    std::vector<int> straight(size(n));
    std::iota(straight.begin(), straight.end(), 0);
    LoneWarp forward(false);
    std::vector<int> seen;
    forward.warp().for_each(n, [&](int i) { seen.push_back(i); });
    EXPECT_EQ(seen, straight);
    LoneWarp backward(true);
    seen.clear();
    backward.warp().for_each(n, [&](int i) { seen.push_back(i); });
    EXPECT_EQ(seen, std::vector<int>(straight.rbegin(), straight.rend()));
  }
}

TEST(HostWarp, team_for_each_shares_each_index_out_once) {
  constexpr int kMost = 130;
  for (const bool reverse : {false, true}) {
    HostDevice device(0, {.num_blocks = 1, .warps_per_block = 5, .reverse_lanes = reverse});
    for (const Team team : {Team{0, 5}, Team{2, 3}, Team{4, 1}}) {
      for (const int n : {0, 1, 2, 4, 5, 6, 32, kMost}) {
        std::deque<std::atomic<int>> visits(kMost);
        device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
          if (!team.holds(warp.index())) return;
          warp.team_for_each(team, n, [&](int i) { ++visits[size(i)]; });
        });
        for (int i = 0; i < kMost; ++i) ASSERT_EQ(visits[size(i)], i < n ? 1 : 0) << n << " " << i;
      }
    }
  }
}

TEST(HostWarp, one_acts_once_and_returns_its_value) {
  LoneWarp lone;
  int calls = 0;
  EXPECT_EQ(lone.warp().one([&] { return ++calls * 10; }), 10);
  const auto later = lone.warp().one_later([&] { return ++calls * 10; });
  EXPECT_EQ(later.get(lone.warp()), 20);
  EXPECT_EQ(later.get(lone.warp()), 20);
  lone.warp().one([&] { ++calls; });
  EXPECT_EQ(calls, 3);
}

TEST(HostWarp, reduces_over_all_indices) {
  LoneWarp lone;
  EXPECT_EQ(lone.warp().sum(0, [](int) { return 1; }), 0);
  EXPECT_EQ(lone.warp().sum(100, [](int i) { return i - 10; }), 3950);
  EXPECT_EQ(lone.warp().bits(0, [](int) { return ~0U; }), 0U);
  EXPECT_EQ(lone.warp().bits(32, [](int i) { return 1U << i; }), ~0U);
  EXPECT_EQ(lone.warp().bits(70, [](int i) { return i == 69 ? 0x40U : 0U; }), 0x40U);
}

TEST(HostWarp, lanes_keep_a_value_each) {
  LoneWarp lone;
  auto lanes = lone.warp().lanes(20, [](int i) { return i * i; });
  lanes.set(lone.warp(), 31, -1);
  EXPECT_EQ(lanes.get(lone.warp(), 7), 49);
  EXPECT_EQ(lanes[19], 361);
  EXPECT_EQ(lanes.get(lone.warp(), 31), -1);
  EXPECT_EQ(lanes.get(lone.warp(), 25), 0);
}

TEST(HostWarp, atomics_of_all_warps_add_up) {
  HostDevice device(0, {.num_blocks = 3, .warps_per_block = 3});
  std::uint32_t count = 0;
  std::uint64_t least = ~std::uint64_t{0};
  device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    const auto me = static_cast<std::uint64_t>(warp.block() * 3 + warp.index());
    for (std::uint64_t i = 0; i < 500; ++i) {
      host::Warp::fetch_add(&count, 2U);
      host::Warp::fetch_min(&least, 1'000 * (me + 1) - i);
    }
  });
  EXPECT_EQ(count, 9U * 1'000U);
  EXPECT_EQ(least, 501U);
}

TEST(HostPipe, stores_the_staged_row_to_all_places_but_null) {
  LoneWarp lone;
  std::vector<std::byte> row(256);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<std::byte>(i);
  std::vector<std::byte> out(3 * 128, std::byte{0xee});
  lone.pipe().load(lone.warp(), row.data(), 256);
  lone.pipe().wait(lone.warp());
  lone.pipe().store_to(
      lone.warp(), 3,
      [&](int i) { return i == 1 ? nullptr : out.data() + i * 128; }, 64, 32);
  lone.pipe().retire(lone.warp());
  for (const std::ptrdiff_t i : {0, 2}) {
    EXPECT_TRUE(std::equal(row.begin() + 32, row.begin() + 96, out.begin() + i * 128));
  }
  const auto touched = std::count_if(out.begin(), out.end(),
                                     [](std::byte b) { return b != std::byte{0xee}; });
  EXPECT_EQ(touched, 2 * 64);
}

void nothing(int /*i*/) {}
std::uint64_t* no_word(int /*i*/) { return nullptr; }
std::byte* no_place(int /*i*/) { return nullptr; }
TaggedPair no_pair(int /*i*/) { return {}; }
TaggedPair* nowhere(int /*p*/) { return nullptr; }

TEST(HostDirtyDeathTest, primitives_that_need_synced_lanes_refuse_others) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  LoneWarp lone;
  host::Warp& warp = lone.warp();
  const std::byte row[16] = {};
  warp.for_each(1, nothing);
  EXPECT_DEATH(warp.one([] {}), "broken invariant: one\\(\\)");
  EXPECT_DEATH(warp.one_later([] { return 1; }), "broken invariant: one\\(\\)");
  EXPECT_DEATH(warp.signal(1, no_word, 1), "broken invariant: signal\\(\\)");
  EXPECT_DEATH(lone.pipe().load(warp, row, 16), "broken invariant: load\\(\\)");
  EXPECT_DEATH(lone.pipe().store_to(warp, 1, no_place, 16), "broken invariant: store_to\\(\\)");
  warp.sync();
  warp.team_for_each(Team{0, 1}, 1, nothing);
  EXPECT_DEATH(warp.one([] {}), "broken invariant");
  warp.sync();
  warp.post(1, no_pair, 1, nowhere, 1);
  EXPECT_DEATH(warp.one([] {}), "broken invariant");
}

TEST(HostWarp, any_sync_makes_lanes_whole) {
  LoneWarp lone;
  host::Warp& warp = lone.warp();
  const auto dirty = [&] { warp.for_each(1, nothing); };
  warp.for_each(0, nothing);  // nobody wrote anything
  warp.one([] {});
  const std::vector<std::function<void()>> syncs = {[&] { warp.sync(); },
                                                    [&] { lone.pipe().publish(warp); },
                                                    [&] { lone.pipe().commit(warp); },
                                                    [&] { lone.pipe().retire(warp); }};
  for (const auto& sync : syncs) {
    dirty();
    sync();
    warp.one([] {});
    warp.signal(1, no_word, 1);
  }
  HostDevice device(0, {.num_blocks = 1, .warps_per_block = 2});
  device.launch(kNoMemory, [](host::Warp& mine, host::RowPipe&) {
    mine.for_each(1, nothing);
    mine.block_sync();
    mine.one([] {});
    mine.for_each(1, nothing);
    mine.team_sync(Team{0, 2});
    mine.one([] {});
  });
}

}  // namespace
}  // namespace llep
