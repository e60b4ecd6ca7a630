// SPDX-License-Identifier: MIT
// When an ibgda wire lets go of what it sends from.
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "tests/unit/fake_adapter.hpp"
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

}  // namespace
}  // namespace llep
