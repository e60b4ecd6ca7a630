// SPDX-License-Identifier: MIT
// What errors of an adapter become: a record on the device, and words on the host.
#include <gtest/gtest.h>

#include "tests/ibgda/adapter_rank.hpp"

namespace llep {
namespace {

using AdapterErrors = AdapterTest;

/// What a queue's error becomes: a record on the device, and words on the host.
void expect_error(AdapterRank& mine, ibv_wc_status status, std::uint32_t syndrome) {
  bool ok = true;
  mine.run_one([&](host::Warp& warp) {
    const auto queue = mine.posting(mine.next());
    queue.post(warp, {.completion = Completion::kAsk, .doorbell = Doorbell::kNow},
               [&](int, const WqeHead& head, const SendQueue& q) {
                 return encode_inline(head, {.address = q.far_base, .rkey = q.rkey},
                                      std::uint64_t{1});
               });
    ok = queue.drain(warp);
  });
  EXPECT_FALSE(ok);
  EXPECT_EQ(mine.fault().phase, WaitPhase::kIbgdaError);
  EXPECT_EQ(mine.fault().peer, mine.next());
  EXPECT_EQ(mine.fault().expected, static_cast<std::uint64_t>(WqeOpcode::kWrite));
  EXPECT_EQ(mine.fault().seen & 0xff, syndrome);
  const auto error = mine.queues().error();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->completion.status, status);
  EXPECT_EQ(error->peer, mine.next());
  EXPECT_EQ(error->qpn, mine.queue(mine.next()).qpn);
}

TEST_F(AdapterErrors, a_key_that_the_peer_does_not_know_is_an_error_with_its_name) {
  mine_.connect({.send_depth = 64});
  if (mine_.rank() == 0) {
    mine_.mesh().ranks[1].heap_rkey ^= 0x10;
    mine_.map(64);
    EXPECT_FALSE(mine_.queues().error().has_value());
    expect_error(mine_, IBV_WC_REM_ACCESS_ERR, MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR);
  }
}

TEST_F(AdapterErrors, a_queue_pair_in_error_flushes_its_entries) {
  mine_.connect({.send_depth = 64});
  if (mine_.rank() == 0) {
    mine_.map(64);
    end_qp(mine_.mesh().qp(1, 0));
    expect_error(mine_, IBV_WC_WR_FLUSH_ERR, MLX5_CQE_SYNDROME_WR_FLUSH_ERR);
  }
}

TEST_F(AdapterErrors, a_peer_that_is_gone_is_an_error_within_the_deadline) {
  mine_.connect({.send_depth = 64, .ack_timeout = 12});
  if (mine_.rank() == 1) mine_.disconnect();
  world_.barrier();
  if (mine_.rank() == 0) {
    mine_.map(64);
    expect_error(mine_, IBV_WC_RETRY_EXC_ERR, MLX5_CQE_SYNDROME_TRANSPORT_RETRY_EXC_ERR);
  }
}

TEST_F(AdapterErrors, a_doorbell_that_nobody_hears_ends_at_the_deadline) {
  mine_.connect({.send_depth = 64});
  mine_.map(64);
  mine_.device().faults().timeout_ns = 200'000'000;
  mine_.queues().deafen();
  bool drained = true;
  mine_.run_one([&](host::Warp& warp) {
    const auto queue = mine_.posting(mine_.next());
    queue.post(warp, {.doorbell = Doorbell::kNow},
               [](int, const WqeHead& head, const SendQueue&) { return encode_nop(head); });
    drained = queue.drain(warp);
  });
  EXPECT_FALSE(drained);
  EXPECT_EQ(mine_.fault().phase, WaitPhase::kIbgdaDrain);
  EXPECT_EQ(mine_.fault().expected, 1U);
  EXPECT_FALSE(mine_.queues().error().has_value());
  EXPECT_FALSE(mine_.queues().has_completed(mine_.next()));
}

}  // namespace
}  // namespace llep
