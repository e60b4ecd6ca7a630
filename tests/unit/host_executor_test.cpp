// SPDX-License-Identifier: MIT
// Grids of the host executor; what its warps can do is host_warp_test's.
#include "common/exec/host_device.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/error.hpp"

namespace llep {
namespace {

constexpr GridShape kNoMemory = {.stage_bytes = 128};

std::size_t size(int n) { return static_cast<std::size_t>(n); }

std::vector<HostDeviceOptions> grids() {
  std::vector<HostDeviceOptions> all;
  for (const int blocks : {1, 2, 5}) {
    for (const int warps : {1, 2, 5}) {
      for (const int concurrent : {0, 1, 2}) {
        for (const std::uint64_t seed : {0, 7}) {
          all.push_back({.num_blocks = blocks,
                         .warps_per_block = warps,
                         .concurrent_blocks = concurrent,
                         .shuffle_seed = seed});
        }
      }
    }
  }
  return all;
}

std::string text(const HostDeviceOptions& options) {
  return std::to_string(options.num_blocks) + " blocks of " +
         std::to_string(options.warps_per_block) + " warps, " +
         std::to_string(options.concurrent_blocks) + " at once, seed " +
         std::to_string(options.shuffle_seed);
}

TEST(HostGrid, runs_every_warp_of_every_block_once_per_launch) {
  for (const HostDeviceOptions& options : grids()) {
    SCOPED_TRACE(text(options));
    HostDevice device(0, options);
    std::deque<std::atomic<int>> runs(size(options.num_blocks * options.warps_per_block));
    for (int launch = 1; launch <= 20; ++launch) {
      device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
        EXPECT_EQ(warp.num_blocks(), options.num_blocks);
        EXPECT_EQ(warp.num_warps(), options.warps_per_block);
        ++runs[size(warp.block() * warp.num_warps() + warp.index())];
      });
      for (const auto& count : runs) ASSERT_EQ(count, launch);
    }
  }
}

TEST(HostGrid, runs_at_most_concurrent_blocks_at_once) {
  for (const int concurrent : {1, 2, 3}) {
    HostDevice device(0, {.num_blocks = 7, .warps_per_block = 2, .concurrent_blocks = concurrent});
    std::atomic<int> now = 0;
    std::atomic<int> most = 0;
    for (int launch = 0; launch < 20; ++launch) {
      device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
        if (warp.index() == 0) {
          const int here = ++now;
          int before = most;
          while (here > before && !most.compare_exchange_weak(before, here)) {
          }
        }
        warp.block_sync();
        if (warp.index() == 0) --now;
      });
    }
    EXPECT_LE(most, concurrent);
    EXPECT_EQ(now, 0);
  }
}

TEST(HostGrid, a_resident_grid_runs_all_blocks_at_once_whichever_warps_are_done) {
  constexpr int kBlocks = 5;
  HostDevice device(0, {.num_blocks = kBlocks, .warps_per_block = 3});
  for (int launch = 0; launch < 20; ++launch) {
    std::atomic<int> here = 0;
    const std::uint64_t begin = host::now_ns();
    device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
      if (warp.index() != 1) return;
      ++here;
      while (here < kBlocks && host::now_ns() - begin < 20'000'000'000) std::this_thread::yield();
    });
    ASSERT_EQ(here, kBlocks);
    ASSERT_LT(host::now_ns() - begin, 20'000'000'000U) << "a block waited for another to end";
  }
}

/// The order in which a device that runs one block at a time starts them, launch by launch.
std::vector<std::vector<int>> orders(std::uint64_t seed, int num_launches) {
  HostDevice device(0, {.num_blocks = 6,
                        .warps_per_block = 2,
                        .concurrent_blocks = 1,
                        .shuffle_seed = seed});
  std::vector<std::vector<int>> all(size(num_launches));
  for (auto& order : all) {
    device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
      if (warp.index() == 0) order.push_back(warp.block());
    });
  }
  return all;
}

TEST(HostGrid, shuffles_blocks_differently_in_each_launch) {
  std::vector<int> straight(6);
  std::iota(straight.begin(), straight.end(), 0);
  for (const auto& order : orders(0, 3)) EXPECT_EQ(order, straight);
  const auto shuffled = orders(1, 8);
  for (const auto& order : shuffled) {
    EXPECT_TRUE(std::is_permutation(order.begin(), order.end(), straight.begin()));
  }
  EXPECT_GT(std::set(shuffled.begin(), shuffled.end()).size(), 4U);
  EXPECT_EQ(orders(1, 8), shuffled);
  EXPECT_NE(orders(2, 8), shuffled);
}

TEST(HostGrid, gives_each_block_shared_memory_and_each_warp_a_stage) {
  constexpr GridShape kGrid = {.stage_bytes = 384, .shared_bytes = 256};
  for (const HostDeviceOptions& options : grids()) {
    SCOPED_TRACE(text(options));
    HostDevice device(0, options);
    device.launch(kGrid, [&](host::Warp& warp, host::RowPipe& pipe) {
      const auto mine = static_cast<std::uint8_t>(warp.block() * warp.num_warps() + warp.index());
      EXPECT_EQ(pipe.stage_bytes(), kGrid.stage_bytes);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pipe.stage()) % 128, 0U);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(warp.shared()) % 16, 0U);
      std::memset(pipe.stage(), mine, kGrid.stage_bytes);
      warp.shared()[warp.index()] = std::byte{mine};
      warp.block_sync();
      for (std::uint32_t i = 0; i < kGrid.stage_bytes; ++i) {
        ASSERT_EQ(pipe.stage()[i], std::byte{mine});
      }
      for (int w = 0; w < warp.num_warps(); ++w) {
        ASSERT_EQ(warp.shared()[w], std::byte(warp.block() * warp.num_warps() + w));
      }
      std::memset(warp.shared() + options.warps_per_block, 0xee,
                  warp.index() == 0 ? kGrid.shared_bytes - size(options.warps_per_block) : 0);
    });
  }
}

/// Plain writes on one side of `sync`, plain reads of all warps' on the other, round after round.
template <class Sync>
void ping(host::Warp& warp, int me, int num_warps, Sync sync) {
  auto* slots = reinterpret_cast<int*>(warp.shared());
  for (int round = 1; round <= 100; ++round) {
    slots[me] = round;
    sync();
    for (int other = 0; other < num_warps; ++other) ASSERT_EQ(slots[other], round);
    sync();
  }
}

TEST(HostSync, block_sync_separates_phases) {
  for (const HostDeviceOptions& options : grids()) {
    SCOPED_TRACE(text(options));
    HostDevice device(0, options);
    device.launch({.stage_bytes = 128, .shared_bytes = 64}, [](host::Warp& warp, host::RowPipe&) {
      ping(warp, warp.index(), warp.num_warps(), [&] { warp.block_sync(); });
    });
  }
}

TEST(HostSync, team_sync_separates_phases_of_the_team_alone) {
  for (const HostDeviceOptions& options : grids()) {
    SCOPED_TRACE(text(options));
    for (int first = 0; first < options.warps_per_block; ++first) {
      const Team team{.first = first, .num_warps = options.warps_per_block - first};
      HostDevice device(0, options);
      std::atomic<int> outside = 0;
      device.launch({.stage_bytes = 128, .shared_bytes = 64},
                    [&](host::Warp& warp, host::RowPipe&) {
                      if (!team.holds(warp.index())) {
                        ++outside;
                        return;
                      }
                      ping(warp, warp.index() - team.first, team.num_warps,
                           [&] { warp.team_sync(team); });
                    });
      EXPECT_EQ(outside, options.num_blocks * first);
    }
  }
}

TEST(HostDevice, memory_is_zeroed_aligned_and_copied) {
  HostDevice device(0, {});
  EXPECT_EQ(device.executor(), ExecutorKind::kHost);
  EXPECT_EQ(device.name(), "host");
  for (const std::size_t bytes : {0, 1, 255, 256, 100'000}) {
    const Memory memory = device.allocate(bytes);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 256, 0U);
    ASSERT_EQ(std::count(memory.get(), memory.get() + bytes, std::byte{0}),
              static_cast<std::ptrdiff_t>(bytes));
    device.fill(memory.get(), 0xab, bytes);
    const Memory copy = device.allocate_pinned(bytes);
    device.copy(copy.get(), memory.get(), bytes);
    ASSERT_EQ(std::count(copy.get(), copy.get() + bytes, std::byte{0xab}),
              static_cast<std::ptrdiff_t>(bytes));
  }
}

TEST(HostDevice, more_memory_than_there_is_is_an_error) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the process themselves";
#endif
  HostDevice device(0, {});
  EXPECT_THROW(device.allocate(std::size_t{1} << 60), Error);
}

}  // namespace
}  // namespace llep
