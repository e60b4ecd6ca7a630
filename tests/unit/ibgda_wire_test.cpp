// SPDX-License-Identifier: MIT
// When an ibgda wire reads what it sends, and when it lets go of it.
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "tests/unit/fake_adapter.hpp"
#include "tests/unit/lone_warp.hpp"
#include "transport/hybrid/hybrid_wire.hpp"
#include "transport/ibgda/ibgda_wire.hpp"

namespace llep {
namespace {

/// A warp that puts a row of the caller's own memory to peers 0 and 1 and drains, over an adapter
/// that reads nothing until told.
struct Rig {
  explicit Rig(bool has_inputs) {
    books.sources[0] = {.base = reinterpret_cast<std::uint64_t>(row.data()), .bytes = row.size()};
    books.has_inputs = has_inputs ? 1 : 0;
    device.faults().timeout_ns = 50'000'000;
  }

  void put_and_drain() {
    const IbgdaWire wire{.queues = &adapter.queue(0), .books = &books, .num_ranks = 2};
    device.launch({.stage_bytes = 128}, [&](host::Warp& warp, host::RowPipe&) {
      const auto to = [](int i) { return Destination{.peer = i, .offset = 4096}; };
      wire.put(warp, 2, to, row.data(), static_cast<std::uint32_t>(row.size()));
      wire.flush(warp);
      wire.drain(warp);
    });
  }
  WaitPhase failed() { return device.faults().record->phase; }

  std::vector<std::byte> row = std::vector<std::byte>(256);
  IbgdaBooks books;
  FakeAdapter adapter{{.num_queues = 2}};
  HostDevice device{0, {.num_blocks = 1, .warps_per_block = 1}};
};

TEST(IbgdaWire, inputs_are_not_given_back_before_the_adapter_has_read_them) {
  Rig rig(true);
  rig.put_and_drain();
  EXPECT_EQ(rig.failed(), WaitPhase::kIbgdaDrain);
}

TEST(IbgdaWire, inputs_that_have_been_read_are_given_back) {
  Rig rig(true);
  rig.device.faults().timeout_ns = 3'600'000'000'000;
  rig.adapter.start();
  rig.put_and_drain();
  EXPECT_EQ(rig.failed(), WaitPhase::kNone);
  for (int q : {0, 1}) {
    EXPECT_GE(rig.adapter.state(q).completed, 1U);
    EXPECT_EQ(rig.adapter.state(q).completed, rig.adapter.state(q).reserved);
  }
  rig.adapter.stop();
}

TEST(IbgdaWire, rows_in_the_heap_are_the_protocols_to_keep) {
  Rig rig(false);
  rig.put_and_drain();
  EXPECT_EQ(rig.failed(), WaitPhase::kNone);
  EXPECT_EQ(rig.adapter.state(0).rung, 1U);
}

// On a GPU one lane posts a pair and another one reads it into an entry: without a sync between
// them it would read what lay there before.
TEST(IbgdaWire, posted_words_that_entries_hold_are_synced_before) {
  std::vector<Vec16> heap(64);
  auto* base = reinterpret_cast<std::byte*>(heap.data());
  const IbgdaBooks books;
  FakeAdapter adapter({.num_queues = 2});
  HybridWire<IbgdaWire> wire{
      .near = {},
      .far = {.queues = &adapter.queue(0), .books = &books, .heap = base, .num_ranks = 2}};
  wire.near.bases[0] = base;
  LoneWarp lone;
  adapter.start();
  wire.post(
      lone.warp(), 1, [](int) { return TaggedPair{{5, 6}}; }, 2,
      [](int p) { return Destination{.peer = p, .offset = 64}; }, 3);
  wire.flush(lone.warp());
  adapter.stop();
  ASSERT_EQ(adapter.heard(1).size(), 1U);
  EXPECT_EQ(adapter.heard(1)[0].bytes, sizeof(TaggedPair));
  EXPECT_EQ(adapter.heard(1)[0].value, tagged(5, 3));
  lone.warp().one([] {});  // clean again
}

TEST(IbgdaWireDeathTest, put_refuses_a_warp_whose_lanes_wrote) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Rig rig(false);
  const IbgdaWire wire{.queues = &rig.adapter.queue(0), .books = &rig.books, .num_ranks = 2};
  LoneWarp lone;
  lone.warp().for_each(1, [](int) {});
  EXPECT_DEATH(wire.put(
                   lone.warp(), 1, [](int) { return Destination{.peer = 0}; }, rig.row.data(), 16),
               "broken invariant: put\\(\\)");
}

}  // namespace
}  // namespace llep
