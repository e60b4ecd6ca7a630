// SPDX-License-Identifier: MIT
#pragma once

#include "common/annotations.hpp"
#include "kernels/layout.hpp"
#include "transport/wire.hpp"

/// Every op sends one bare signal to every peer, its begin, and no receive half ends before it has
/// seen all of them. A begin leaves only after all receive halves before it have ended (a launch
/// boundary), so having seen the begins of op n proves that every peer is done with op n - 1 of
/// that kind: two buffers suffice.
namespace llep {

/// The begins of one kind of op.
struct Begins {
  const EpLayout& layout;
  std::uint64_t words;  // layout.dispatch_begins or combine_begins
  int rank;
  WaitPhase phase;

  /// One warp of the grid.
  template <class Warp, class W>
  LLEP_DEVICE void send(Warp& warp, const W& wire, std::uint64_t epoch) const {
    const int num_ranks = layout.shape.num_ranks;
    wire.signal(
        warp, num_ranks,
        [&](int i) {
          return Destination{.peer = layout.shape.rank_after(rank, i),
                             .offset = layout.begin_word(words, parity(epoch), rank)};
        },
        epoch);
  }

  /// One warp of the grid.
  template <class Warp, class W>
  LLEP_DEVICE void wait(Warp& warp, const W& wire, std::uint64_t epoch) const {
    wire.wait(
        warp, layout.shape.num_ranks,
        [&](int source) {
          return Awaited{.word = wire.words(source, layout.begin_word(words, parity(epoch), source)),
                         .peer = source};
        },
        epoch, phase);
  }

 private:
  LLEP_DEVICE static int parity(std::uint64_t epoch) { return static_cast<int>(epoch & 1); }
};

}  // namespace llep
