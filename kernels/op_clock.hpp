// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/annotations.hpp"

namespace llep {

/// When a block entered the first of several launches and left the last of them, by the device's
/// clock. 0: not yet.
struct alignas(16) BlockTimes {
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
};

/// The device clock of ops: launches since the times were cleared. Each block writes its own, so
/// that it costs no atomic. One thread's read of a timer and store at both ends, and a block's sync.
struct OpClock {
  BlockTimes* blocks = nullptr;  // [num_blocks], device memory; null: off

  /// All warps of the block call it, before anything else.
  template <class Warp>
  LLEP_DEVICE void enter(Warp& warp) const {
    if (blocks == nullptr || warp.index() != 0) return;
    warp.one([&] {
      BlockTimes& mine = blocks[warp.block()];
      const std::uint64_t now = Warp::now_ns();
      if (mine.first_ns == 0) mine.first_ns = now;
    });
  }

  /// All warps of the block call it, after everything else; what they stored has been written.
  template <class Warp, class Pipe>
  LLEP_DEVICE void leave(Warp& warp, Pipe& pipe) const {
    if (blocks == nullptr) return;
    pipe.commit(warp);
    warp.block_sync();
    if (warp.index() != 0) return;
    warp.one([&] { blocks[warp.block()].last_ns = Warp::now_ns(); });
  }
};

}  // namespace llep
