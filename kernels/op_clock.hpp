// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/annotations.hpp"

namespace llep {

/// When a block entered the first of several launches and left the last of them, by the device's
/// clock.
struct BlockTimes {
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
};

/// The same as blocks keep it: zeros are no time, and both only ever grow.
struct alignas(16) BlockClock {
  std::uint64_t before_first = 0;  // ~first_ns
  std::uint64_t last_ns = 0;

  BlockTimes times() const {
    return before_first == 0 ? BlockTimes{} : BlockTimes{~before_first, last_ns};
  }
};

/// The device clock of ops: launches since the blocks' clocks were zeroed. One thread of each warp
/// reads a timer and sends off an update, for whose result nobody waits.
struct OpClock {
  BlockClock* blocks = nullptr;  // [num_blocks], device memory; null: off

  /// Before anything else.
  template <class Warp>
  LLEP_DEVICE void enter(Warp& warp) const {
    if (blocks == nullptr || warp.index() != 0) return;
    warp.one([&] { Warp::fetch_max(&blocks[warp.block()].before_first, ~Warp::now_ns()); });
  }

  /// After everything else; the warp's bulk copies have been written.
  template <class Warp, class Pipe>
  LLEP_DEVICE void leave(Warp& warp, Pipe& pipe) const {
    if (blocks == nullptr) return;
    pipe.commit(warp);
    warp.one([&] { Warp::fetch_max(&blocks[warp.block()].last_ns, Warp::now_ns()); });
  }
};

}  // namespace llep
