// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/fifo_wire.hpp"

namespace llep {

/// Pushes descriptors that proxies carry out without their wire (kFlush), and waits until all of
/// them are complete: what a ring and its proxy cost alone. Nobody else pushes meanwhile.
struct RingProbe {
  FifoRing rings[kMaxProxies];
  int num_rings = 1;      // the first so many
  int num_warps = 1;      // that push, each to one ring
  int batch = 1;          // descriptors of one reservation; no more than a ring is deep
  int num_rounds = 1;     // batches of each warp
  bool answered = false;  // by one warp: each batch is complete before the next one is pushed
  std::uint64_t heads[kMaxProxies] = {};  // of the rings, before

  /// Descriptors that one ring gets.
  constexpr std::uint64_t num_pushed(int ring) const {
    const int pushing = (num_warps - ring + num_rings - 1) / num_rings;
    return static_cast<std::uint64_t>(pushing) * static_cast<std::uint64_t>(num_rounds) *
           static_cast<std::uint64_t>(batch);
  }

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    const int me = warp.index() * warp.num_blocks() + warp.block();
    if (me >= num_warps) return;
    const int r = me % num_rings;
    const FifoRing& ring = rings[r];
    for (int round = 1; round <= num_rounds; ++round) {
      if (!ring.push(warp, batch, -1, [](int) { return Descriptor{}; })) return;
      const auto pushed = static_cast<std::uint64_t>(round) * static_cast<std::uint64_t>(batch);
      if (answered && !wait(warp, ring, heads[r] + pushed)) return;
    }
    if (me < num_rings) wait(warp, ring, heads[r] + num_pushed(r));
  }

 private:
  template <class Warp>
  LLEP_DEVICE static bool wait(Warp& warp, const FifoRing& ring, std::uint64_t position) {
    return warp.wait_for({}, position, WaitPhase::kFifoDrain,
                         [&] { return Warp::load_acquire(ring.completed); });
  }
};

}  // namespace llep
