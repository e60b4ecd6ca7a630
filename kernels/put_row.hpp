// SPDX-License-Identifier: MIT
#pragma once

#include "common/annotations.hpp"
#include "transport/wire.hpp"

namespace llep {

/// A row in memory on its way through a warp's stage, in as many chunks as that takes.
struct RowSource {
  const std::byte* from = nullptr;
  std::uint32_t bytes = 0;  // a multiple of 16
  std::uint64_t home = 0;   // see Staged

  /// Starts the first chunk's load; what is needed to say where it goes can be found out meanwhile.
  template <class Warp, class Pipe>
  LLEP_DEVICE void begin(Warp& warp, Pipe& pipe) const {
    load(warp, pipe, 0);
  }

  /// Puts the begun row to to(i), a Destination, for every i < n.
  template <class Warp, class Pipe, class W, class F>
  LLEP_DEVICE void put(Warp& warp, Pipe& pipe, const W& wire, int n, F to) const {
    for (std::uint32_t first = 0; first < bytes; first += pipe.stage_bytes()) {
      if (first > 0) {
        pipe.retire(warp);
        load(warp, pipe, first);
      }
      pipe.wait(warp);
      wire.put(
          warp, pipe, n,
          [&](int i) {
            Destination place = to(i);
            place.offset += first;
            return place;
          },
          Staged{.bytes = chunk(pipe, first), .home = home + first, .from = from + first});
    }
  }

 private:
  template <class Pipe>
  LLEP_DEVICE std::uint32_t chunk(const Pipe& pipe, std::uint32_t first) const {
    return bytes - first < pipe.stage_bytes() ? bytes - first : pipe.stage_bytes();
  }
  template <class Warp, class Pipe>
  LLEP_DEVICE void load(Warp& warp, Pipe& pipe, std::uint32_t first) const {
    pipe.load(warp, from + first, chunk(pipe, first));
  }
};

}  // namespace llep
