// SPDX-License-Identifier: MIT
#pragma once

#include "transport/ibgda/posting.hpp"

namespace llep {

/// Builds, publishes and rings entries of send queues that no adapter reads: they are taken for
/// complete as soon as they are rung. What a kernel's part of a post costs alone.
struct QueueProbe {
  const SendQueue* queues = nullptr;  // [num_warps] each its own, device memory
  int num_warps = 1;                  // that post
  int batch = 1;                      // entries of one reservation, at most 32; one doorbell
  int num_rounds = 1;                 // batches of each warp

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    const int me = warp.index() * warp.num_blocks() + warp.block();
    if (me >= num_warps) return;
    const SendQueue& queue = queues[me];
    const auto of = [&queue](int /*i*/) -> const SendQueue& { return queue; };
    const std::uint32_t lanes = batch == kMaxLanes ? ~0U : (1U << batch) - 1;
    const PostRules later{.policy = {.every = 0}};
    for (int round = 0; round < num_rounds; ++round) {
      const bool ok = Posting{lanes, of}.post(
          warp, later, [](int i, const WqeHead& head, const SendQueue& own) {
            return encode_write(head, {.address = static_cast<std::uint64_t>(i), .rkey = own.rkey},
                                {.bytes = kWqeBytes});
          });
      if (!ok) return;
      Posting{1U, of}.flush(warp);
      warp.one([&] {
        QueueState& state = *queue.state;
        Warp::store_relaxed(&state.completed, Warp::load_relaxed(&state.rung));
      });
      warp.sync();
    }
  }
};

}  // namespace llep
