// SPDX-License-Identifier: MIT
// Descriptors, the ring and the proxy thread, on the host executor and a wire that only listens.
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "transport/fifo/proxy.hpp"

namespace llep {
namespace {

constexpr GridShape kNoMemory = {.stage_bytes = 128};

TEST(Descriptor, every_field_comes_back_in_every_lap) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const Descriptor what{.kind = static_cast<DescriptorKind>(random() % 4),
                          .peer = static_cast<std::int32_t>(random() % kMaxFifoPeers),
                          .channel = static_cast<std::int32_t>(random() % kMaxFifoChannels),
                          .bytes = static_cast<std::uint32_t>(random()) & 0x7fffffffU,
                          .to = random() >> (1 + i % 63),
                          .from = i % 5 == 0 ? 0 : random() >> (i % 64)};
    const std::uint64_t lap = random() % 4;
    const Slot slot = encode(what, lap);
    for (const std::uint64_t word : slot.word) {
      EXPECT_TRUE(is_valid(word, lap));
      EXPECT_FALSE(is_valid(word, lap + 1));
      EXPECT_FALSE(is_valid(word, lap - 1));
    }
    const Descriptor back = decode(slot);
    ASSERT_EQ(back.kind, what.kind);
    ASSERT_EQ(back.peer, what.peer);
    ASSERT_EQ(back.channel, what.channel);
    ASSERT_EQ(back.bytes, what.bytes);
    ASSERT_EQ(back.to, what.to);
    ASSERT_EQ(back.from, what.from);
  }
}

TEST(Descriptor, memory_that_nobody_wrote_is_valid_in_no_first_lap) {
  for (const std::uint64_t word : Slot{}.word) EXPECT_FALSE(is_valid(word, 0));
}

/// What a wire was given, in order; completes it when told to.
struct Heard {
  std::mutex mutex;
  std::vector<Descriptor> all;
  std::atomic<std::uint64_t> hold_back = 0;   // other than 0: positions from there on stay incomplete
  std::atomic<std::size_t> at_once = 1000;    // of one post
  std::atomic<bool> fails = false;
};

class ListeningWire final : public ProxyWire {
 public:
  explicit ListeningWire(Heard& heard) : heard_(heard) {}

  std::size_t post(std::span<const Work> work) override {
    if (heard_.fails) throw Error(ExitCode::kInternal, "listening wire: told to fail");
    const std::size_t taken = std::min<std::size_t>(work.size(), heard_.at_once);
    const std::lock_guard lock(heard_.mutex);
    for (const Work& one : work.first(taken)) heard_.all.push_back(one.what);
    if (taken > 0) end_ = work[taken - 1].end;
    return taken;
  }
  std::uint64_t progress() override {
    const std::uint64_t hold_back = heard_.hold_back;
    return hold_back == 0 ? end_ : std::min(end_, hold_back);
  }
  void break_link() override { heard_.fails = true; }

 private:
  Heard& heard_;
  std::uint64_t end_ = 0;
};

/// A device, a proxy and what came out of it.
struct Rig {
  explicit Rig(std::uint32_t depth, const HostDeviceOptions& grid = {})
      : device(0, grid),
        proxy(device, {.num_ranks = 8, .depth = depth, .naps = true},
              std::make_unique<ListeningWire>(heard)) {}

  /// Until the proxy has read and completed what was pushed.
  bool drained() {
    bool ok = false;
    device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
      if (warp.block() == 0 && warp.index() == 0) ok = proxy.ring().drain(warp);
    });
    return ok;
  }

  Heard heard;
  HostDevice device;
  Proxy proxy;
};

TEST(Fifo, many_warps_push_through_a_ring_of_four_and_each_keeps_its_order) {
  constexpr int kWarps = 6;
  const int rounds = 500;
  Rig rig(4, {.num_blocks = 2, .warps_per_block = kWarps / 2});
  std::atomic<int> refused = 0;
  rig.device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    const int me = warp.block() * kWarps / 2 + warp.index();
    std::mt19937 random(static_cast<unsigned>(me));
    for (int n = 0; n < rounds;) {
      // Lanes that are not neighbours.
      const std::uint32_t lanes = random() % 2 == 0 ? 0x80000001U : 0x00100200U | random() % 2;
      const bool ok = rig.proxy.ring().push_lanes(warp, lanes, me, [&](int lane) {
        const int earlier = std::popcount(lanes & ((1U << lane) - 1U));
        return Descriptor{.kind = DescriptorKind::kSignal,
                          .peer = me,
                          .to = static_cast<std::uint64_t>(n + earlier) * 8,
                          .from = static_cast<std::uint64_t>(n + earlier)};
      });
      refused += ok ? 0 : 1;
      n += std::popcount(lanes);
    }
  });
  EXPECT_TRUE(rig.drained());
  EXPECT_EQ(refused, 0);
  std::vector<std::uint64_t> next(8);
  for (const Descriptor& what : rig.heard.all) {
    std::uint64_t& expected = next[static_cast<std::size_t>(what.peer)];
    ASSERT_EQ(what.from, expected);
    ASSERT_EQ(what.to, expected * 8);
    ++expected;
  }
  for (int warp = 0; warp < kWarps; ++warp) {
    EXPECT_GE(next[static_cast<std::size_t>(warp)], static_cast<std::uint64_t>(rounds));
  }
}

TEST(Fifo, a_million_descriptors_come_out_as_they_went_in) {
  constexpr std::uint64_t kNumber = 1'000'000;
  Rig rig(512, {.num_blocks = 1, .warps_per_block = 2});
  rig.device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    const auto me = static_cast<std::uint64_t>(warp.index());
    for (std::uint64_t n = 0; n < kNumber / 2; n += 32) {
      rig.proxy.ring().push(warp, 32, 0, [&](int lane) {
        const std::uint64_t mine = (n + static_cast<std::uint64_t>(lane)) * 2 + me;
        return Descriptor{.kind = DescriptorKind::kWords,
                          .peer = warp.index(),
                          .channel = static_cast<std::int32_t>(mine % 1000),
                          .bytes = static_cast<std::uint32_t>(mine % 128) * 8,
                          .to = mine * 0x9e3779b9,
                          .from = mine << 40};
      });
    }
  });
  ASSERT_TRUE(rig.drained());
  ASSERT_EQ(rig.heard.all.size(), kNumber);
  std::uint64_t next[2] = {0, 1};
  for (const Descriptor& what : rig.heard.all) {
    std::uint64_t& mine = next[what.peer];
    ASSERT_EQ(what.channel, static_cast<std::int32_t>(mine % 1000));
    ASSERT_EQ(what.bytes, mine % 128 * 8);
    ASSERT_EQ(what.to, mine * 0x9e3779b9);
    ASSERT_EQ(what.from, mine << 40);
    mine += 2;
  }
}

/// Pushes one descriptor of one warp; false: no room.
bool push_one(Rig& rig, const Descriptor& what) {
  bool ok = false;
  rig.device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) {
    if (warp.block() != 0 || warp.index() != 0) return;
    ok = rig.proxy.ring().push(warp, 1, what.peer, [&](int) { return what; });
  });
  return ok;
}

TEST(Fifo, a_full_ring_whose_proxy_stalls_ends_in_a_record) {
  Rig rig(4);
  rig.device.faults().timeout_ns = 50'000'000;
  rig.proxy.stall();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // it may be in the middle of a step
  const Descriptor signal{.kind = DescriptorKind::kSignal, .peer = 5};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(push_one(rig, signal));
  EXPECT_FALSE(push_one(rig, signal));
  const FaultRecord record = read_fault(rig.device.faults().record);
  EXPECT_EQ(record.phase, WaitPhase::kFifoRoom);
  EXPECT_EQ(record.peer, 5);
  EXPECT_EQ(record.expected, 1U);
  EXPECT_EQ(record.seen, 0U);
  EXPECT_EQ(rig.proxy.state(), "proxy 0 has read 0 of 5 descriptors, 0 are complete");
}

TEST(Fifo, drain_waits_for_completions_not_for_reading) {
  Rig rig(16);
  rig.heard.hold_back = 2;
  rig.device.faults().timeout_ns = 50'000'000;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(push_one(rig, {.kind = DescriptorKind::kSignal}));
  EXPECT_FALSE(rig.drained());
  const FaultRecord record = read_fault(rig.device.faults().record);
  EXPECT_EQ(record.phase, WaitPhase::kFifoDrain);
  EXPECT_EQ(record.expected, 3U);
  EXPECT_EQ(record.seen, 2U);
}

TEST(Fifo, a_flush_is_complete_with_all_before_it) {
  Rig rig(16);
  ASSERT_TRUE(push_one(rig, {.kind = DescriptorKind::kFlush}));
  EXPECT_TRUE(rig.drained());
  ASSERT_TRUE(push_one(rig, {.kind = DescriptorKind::kSignal}));
  ASSERT_TRUE(push_one(rig, {.kind = DescriptorKind::kFlush}));
  EXPECT_TRUE(rig.drained());
  EXPECT_EQ(rig.heard.all.size(), 1U);  // wires know nothing of flushes
}

TEST(Fifo, puts_that_go_on_from_each_other_become_one) {
  Rig rig(16, {.num_blocks = 1, .warps_per_block = 1});
  rig.heard.at_once = 0;  // until all have been read
  using Kind = DescriptorKind;
  const std::vector<Descriptor> given = {
      {.kind = Kind::kPut, .peer = 1, .channel = 0, .bytes = 64, .to = 0, .from = 1000},
      {.kind = Kind::kPut, .peer = 2, .channel = 0, .bytes = 8, .to = 64, .from = 1064},
      {.kind = Kind::kPut, .peer = 1, .channel = 0, .bytes = 32, .to = 64, .from = 1064},
      {.kind = Kind::kPut, .peer = 1, .channel = 1, .bytes = 32, .to = 96, .from = 1096},
      {.kind = Kind::kPut, .peer = 1, .channel = 0, .bytes = 32, .to = 96, .from = 2000},
      {.kind = Kind::kSignal, .peer = 1, .channel = 0, .to = 8, .from = 0},
      {.kind = Kind::kPut, .peer = 1, .channel = 0, .bytes = 32, .to = 128, .from = 2032}};
  for (const Descriptor& one : given) ASSERT_TRUE(push_one(rig, one));
  while (rig.proxy.state().find("has read 7") == std::string::npos) std::this_thread::yield();
  rig.heard.at_once = 2;
  ASSERT_TRUE(rig.drained());
  ASSERT_EQ(rig.heard.all.size(), 6U);
  EXPECT_EQ(rig.heard.all[0].bytes, 96U);
  EXPECT_EQ(rig.heard.all[1].peer, 2);
  EXPECT_EQ(rig.heard.all[2].channel, 1);
  EXPECT_EQ(rig.heard.all[3].from, 2000U);
  EXPECT_EQ(rig.heard.all[4].kind, Kind::kSignal);
  EXPECT_EQ(rig.heard.all[5].from, 2032U);
  EXPECT_EQ(rig.proxy.traffic(1).puts, 5U);
  EXPECT_EQ(rig.proxy.traffic(1).signals, 1U);
  EXPECT_EQ(rig.proxy.traffic(1).bytes, 64U + 32 + 32 + 32 + 32);
  EXPECT_EQ(rig.proxy.traffic(3).puts, 0U);
}

TEST(Fifo, a_wire_that_fails_lets_waits_give_up_and_says_why) {
  Rig rig(4);
  rig.device.faults().timeout_ns = 3'600'000'000'000;
  rig.proxy.break_link();
  push_one(rig, {.kind = DescriptorKind::kSignal});
  EXPECT_FALSE(rig.drained());
  EXPECT_EQ(rig.proxy.failure(), "listening wire: told to fail");
  EXPECT_EQ(read_fault(rig.device.faults().record).phase, WaitPhase::kNone);
}

TEST(Fifo, a_descriptor_for_nobody_is_an_error_in_words) {
  Rig rig(4);
  ASSERT_TRUE(push_one(rig, {.kind = DescriptorKind::kPut, .peer = 8}));
  EXPECT_FALSE(rig.drained());
  EXPECT_EQ(rig.proxy.failure(), "fifo: a descriptor names peer 8 of 8 ranks");
}

}  // namespace
}  // namespace llep
