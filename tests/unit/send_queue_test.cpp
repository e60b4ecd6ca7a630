// SPDX-License-Identifier: MIT
// Send queues as warps of the host executor use them, against a fake adapter.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "tests/unit/fake_adapter.hpp"
#include "transport/ibgda/posting.hpp"

namespace llep {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kLongRun = 70'000;
#else
constexpr std::uint64_t kLongRun = 200'000;
#endif

constexpr GridShape kNoMemory = {.stage_bytes = 128};
constexpr RingPolicy kTail = {.every = 0};

/// A device and an adapter.
struct Rig {
  explicit Rig(const FakeAdapterOptions& queues = {}, const HostDeviceOptions& grid = {})
      : adapter(queues), device(0, grid), grid_(grid) {}

  int warp_number(const host::Warp& warp) const {
    return warp.block() * grid_.warps_per_block + warp.index();
  }
  int num_warps() const { return grid_.num_blocks * grid_.warps_per_block; }
  void run(const std::function<void(host::Warp&)>& body) {
    device.launch(kNoMemory, [&](host::Warp& warp, host::RowPipe&) { body(warp); });
  }
  /// One warp alone.
  void run_one(const std::function<void(host::Warp&)>& body) {
    run([&](host::Warp& warp) {
      if (warp_number(warp) == 0) body(warp);
    });
  }
  /// Lane i uses queue i modulo their number.
  auto posting(std::uint32_t lanes, int num_queues = 1) {
    const auto of = [this, num_queues](int i) -> const SendQueue& {
      return adapter.queue(i % num_queues);
    };
    return Posting{lanes, of};
  }
  const FaultRecord& fault() { return *device.faults().record; }

  FakeAdapter adapter;
  HostDevice device;

 private:
  HostDeviceOptions grid_;
};

/// Each entry says who posted it and the how manieth of its warp in that queue it is.
auto numbered(int warp, std::uint64_t number) {
  return [=](int i, const WqeHead& head, const SendQueue&) {
    return encode_inline(head, {.address = static_cast<std::uint64_t>(warp * 64 + i), .rkey = 7},
                         number);
  };
}

/// What many warps post until the queues have gone round many times.
struct Load {
  FakeAdapterOptions queues = {};
  HostDeviceOptions grid = {.num_blocks = 2, .warps_per_block = 3};
  RingPolicy policy = {};
  std::uint64_t entries = 20'000;  // of each queue, about
};

/// Every entry once, each lane's in their order, as often rung as it must be.
void expect_all_heard(const Rig& rig, const Load& load, std::uint64_t rounds) {
  EXPECT_EQ(rig.adapter.complaint(), "");
  for (int q = 0; q < load.queues.num_queues; ++q) {
    std::vector<std::uint64_t> next(64 * 64, 0);
    std::uint64_t writes = 0;
    for (const HeardEntry& entry : rig.adapter.heard(q)) {
      if (entry.opcode == 0) continue;
      ASSERT_EQ(entry.value, next[entry.address]) << "warp and lane " << entry.address;
      ++next[entry.address];
      ++writes;
    }
    const auto lanes = static_cast<std::uint64_t>(kMaxLanes / load.queues.num_queues);
    EXPECT_EQ(writes, rounds * lanes * static_cast<std::uint64_t>(rig.num_warps()));
    EXPECT_EQ(rig.adapter.state(q).rung, rig.adapter.state(q).reserved);
  }
}

void expect_carried(const Load& load) {
  Rig rig(load.queues, load.grid);
  const auto lanes = static_cast<std::uint64_t>(kMaxLanes / load.queues.num_queues);
  const std::uint64_t rounds =
      load.entries / lanes / static_cast<std::uint64_t>(rig.num_warps()) + 1;
  std::atomic<int> failed = 0;
  rig.adapter.start();
  rig.run([&](host::Warp& warp) {
    const auto all = rig.posting(~0U, load.queues.num_queues);
    for (std::uint64_t n = 0; n < rounds; ++n) {
      const bool signal = n % 2 == 1;
      const PostRules rules{
          .completion = signal ? Completion::kAsk : Completion::kNone,
          .doorbell = signal && load.policy.is_tail() ? Doorbell::kNow : Doorbell::kLater,
          .policy = load.policy};
      if (!all.post(warp, rules, numbered(rig.warp_number(warp), n))) ++failed;
    }
    all.flush(warp);
    if (!all.drain(warp)) ++failed;
  });
  EXPECT_EQ(failed, 0) << to_string(rig.fault().phase) << " " << rig.fault().expected << " "
                       << rig.fault().seen;
  rig.adapter.stop();
  expect_all_heard(rig, load, rounds);
}

TEST(SendQueue, many_warps_share_a_queue_of_64) {
  for (const std::uint32_t every : {0U, 1U, 8U, 1000U}) {
    SCOPED_TRACE(every);
    expect_carried({.policy = {.every = every}});
  }
}

TEST(SendQueue, counts_go_on_where_16_bits_end) {
  expect_carried({.grid = {.num_blocks = 1, .warps_per_block = 2}, .entries = kLongRun});
}

TEST(SendQueue, lanes_of_one_warp_have_queues_of_their_own) {
  expect_carried({.queues = {.num_queues = 8}, .policy = kTail, .entries = 4000});
  expect_carried({.queues = {.num_queues = 8, .ring_log2 = 6}, .entries = 4000});
}

TEST(SendQueue, queues_that_share_a_register_lose_no_doorbell) {
  for (const std::uint32_t every : {0U, 1U, 8U}) {
    expect_carried({.queues = {.num_queues = 4, .shared_register = true},
                    .policy = {.every = every},
                    .entries = 4000});
  }
}

TEST(SendQueue, one_block_at_a_time_and_lanes_from_behind_are_enough) {
  expect_carried({.queues = {.num_queues = 2},
                  .grid = {.num_blocks = 4,
                           .warps_per_block = 2,
                           .concurrent_blocks = 1,
                           .shuffle_seed = 3,
                           .reverse_lanes = true},
                  .policy = kTail,
                  .entries = 4000});
}

TEST(SendQueue, who_waits_for_room_rings_what_nobody_rang) {
  Rig rig;
  rig.adapter.start();
  bool ok = false;
  rig.run_one([&](host::Warp& warp) {
    const auto all = rig.posting(~0U);
    ok = true;
    for (std::uint64_t n = 0; n < 5; ++n) {
      ok = ok && all.post(warp, {.policy = kTail}, numbered(0, n));
    }
  });
  EXPECT_TRUE(ok);
  rig.adapter.stop();
  EXPECT_EQ(rig.adapter.complaint(), "");
  EXPECT_LE(rig.adapter.num_doorbells(), 5U);
  EXPECT_GE(rig.adapter.heard(0).size(), 3U * kMaxLanes);
}

TEST(SendQueue, later_means_later_and_policies_ring_when_they_say) {
  for (const std::uint32_t every : {0U, 8U}) {
    Rig rig({.depth_log2 = 9, .ring_log2 = 9});
    rig.run_one([&](host::Warp& warp) {
      const auto one = rig.posting(1U);
      const PostRules later{.policy = {.every = every}};
      for (std::uint64_t n = 0; n < 7; ++n) one.post(warp, later, numbered(0, n));
      EXPECT_EQ(rig.adapter.state(0).rung, 0U);
      one.post(warp, later, numbered(0, 7));
      EXPECT_EQ(rig.adapter.state(0).rung, every == 0 ? 0U : 8U);
      one.post(warp, later, numbered(0, 8));
      EXPECT_EQ(rig.adapter.state(0).rung, every == 0 ? 0U : 8U);
      one.post(warp, {.doorbell = Doorbell::kNow, .policy = {.every = every}}, numbered(0, 9));
      EXPECT_EQ(rig.adapter.state(0).rung, 10U);
    });
  }
}

/// A warp that counts what costs a journey to host memory.
class CountingWarp : public host::Warp {
 public:
  using Warp::Warp;
  void release() {
    ++releases;
    Warp::release();
  }
  int releases = 0;
};

TEST(SendQueue, entries_of_32_lanes_cost_one_fence_and_one_doorbell) {
  FakeAdapter adapter({.depth_log2 = 9, .ring_log2 = 9});
  FaultRecord record;
  std::uint32_t raised = 0;
  CountingWarp warp({}, host::Block{}, FaultSink{.record = &record, .raised = &raised});
  const auto of = [&](int) -> const SendQueue& { return adapter.queue(0); };
  const Posting all{~0U, of};
  ASSERT_TRUE(all.post(warp, {.policy = kTail}, numbered(0, 0)));
  EXPECT_EQ(warp.releases, 1);
  EXPECT_EQ(adapter.state(0).reserved, 32U);
  EXPECT_EQ(adapter.state(0).rung, 0U);
  const std::uint64_t before = *adapter.queue(0).doorbell;
  const Posting one{1U, of};
  one.post(warp, {.completion = Completion::kAsk, .doorbell = Doorbell::kNow}, numbered(0, 1));
  EXPECT_EQ(warp.releases, 2);
  EXPECT_EQ(adapter.state(0).rung, 33U);
  EXPECT_NE(*adapter.queue(0).doorbell, before);
}

TEST(SendQueue, drain_asks_where_nobody_asked_and_no_more) {
  Rig rig({.depth_log2 = 9, .ring_log2 = 9});
  rig.adapter.start();
  rig.run_one([&](host::Warp& warp) {
    const auto one = rig.posting(1U);
    EXPECT_TRUE(one.drain(warp));
    EXPECT_EQ(rig.adapter.state(0).reserved, 0U);  // nothing to wait for
    one.post(warp, {.policy = kTail}, numbered(0, 0));
    EXPECT_TRUE(one.drain(warp));
    EXPECT_EQ(rig.adapter.state(0).reserved, 2U);
    EXPECT_EQ(rig.adapter.state(0).completed, 2U);
    one.post(warp, {.completion = Completion::kAsk, .policy = kTail}, numbered(0, 1));
    EXPECT_TRUE(one.drain(warp));
    EXPECT_EQ(rig.adapter.state(0).reserved, 3U);
    EXPECT_EQ(rig.adapter.state(0).completed, 3U);
  });
  rig.adapter.stop();
  const auto& heard = rig.adapter.heard(0);
  ASSERT_EQ(heard.size(), 3U);
  EXPECT_EQ(heard[1].opcode, static_cast<std::uint32_t>(WqeOpcode::kNop));
  EXPECT_TRUE(heard[1].asks && heard[2].asks && !heard[0].asks);
}

TEST(SendQueue, an_adapter_that_stands_still_ends_in_a_record) {
  Rig rig;
  rig.device.faults().timeout_ns = 50'000'000;
  rig.run_one([&](host::Warp& warp) {
    const auto all = rig.posting(~0U);
    EXPECT_TRUE(all.post(warp, {}, numbered(0, 0)));
    EXPECT_TRUE(all.post(warp, {}, numbered(0, 1)));
    EXPECT_FALSE(all.post(warp, {}, numbered(0, 2)));
  });
  EXPECT_EQ(rig.fault().phase, WaitPhase::kIbgdaRoom);
  EXPECT_EQ(rig.fault().peer, 1);
  EXPECT_EQ(rig.fault().expected, 1U);
  EXPECT_EQ(rig.fault().seen, 0U);
}

TEST(SendQueue, entries_that_never_complete_end_a_drain_in_a_record) {
  Rig rig({.num_queues = 2});
  rig.device.faults().timeout_ns = 50'000'000;
  rig.run_one([&](host::Warp& warp) {
    const auto second = rig.posting(2U, 2);
    second.post(warp, {.completion = Completion::kAsk}, numbered(0, 0));
    EXPECT_FALSE(rig.posting(3U, 2).drain(warp));
    EXPECT_EQ(rig.adapter.state(1).reserved, 1U);  // it asks already
  });
  EXPECT_EQ(rig.fault().phase, WaitPhase::kIbgdaDrain);
  EXPECT_EQ(rig.fault().peer, 2);
  EXPECT_EQ(rig.fault().expected, 1U);
}

TEST(SendQueue, an_error_completion_becomes_a_record) {
  Rig rig({.num_queues = 2});
  rig.device.faults().timeout_ns = 3'600'000'000'000;
  rig.adapter.fail(1, 0x15);
  rig.adapter.start();
  rig.run_one([&](host::Warp& warp) {
    const auto both = rig.posting(3U, 2);
    both.post(warp, {.completion = Completion::kAsk, .doorbell = Doorbell::kNow}, numbered(0, 0));
    EXPECT_FALSE(both.drain(warp));
  });
  rig.adapter.stop();
  EXPECT_EQ(rig.fault().phase, WaitPhase::kIbgdaError);
  EXPECT_EQ(rig.fault().peer, 2);
  EXPECT_EQ(rig.fault().expected, static_cast<std::uint64_t>(WqeOpcode::kWrite));
  EXPECT_EQ(rig.fault().seen, 0x8815U);
}

}  // namespace
}  // namespace llep
