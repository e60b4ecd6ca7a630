// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "common/exec/fault.hpp"
#include "common/exec/model.hpp"

/// The device side of a transport: what kernels may ask of it. The whole warp calls; functions are
/// those of the warp primitives (called per lane, i < n, n <= 32 for put).
///
///   put(warp, pipe, n, to, staged)   copies the staged bytes to to(i), a Destination, for every i;
///                                    nothing is visible yet on return
///   commit(warp, pipe)               this warp's earlier puts may now be ordered by a signal, of
///                                    this warp or of one that synchronises with it afterwards
///   signal(warp, n, to, epoch)       writes the epoch to the 64-bit word to(i), a Destination, for
///                                    every i: visible there only after every earlier put to that
///                                    peer on the word's channel
///   wait(warp, n, what, epoch, phase)  returns once all local words what(i), an Awaited, hold at
///                                    least the epoch: the rows behind them may be read by ordinary
///                                    and by bulk loads of this warp. False: a deadline passed
///   post(warp, n, data, num_peers, to, epoch)  writes tagged pairs data(i), i < n <= kMostPosted,
///                                    to to(p), a Destination, for every p: the same offset at each
///                                    of them, this rank among them. Each word arrives whole and
///                                    needs no signal
///   arrivals(peer, offset)           where what that peer puts to the offset arrives: base + offset.
///                                    Peers whose base is not the rank's own share another one
///   words(peer, offset)              where words that it signals or posts there do
///   flush(warp) / drain(warp)        what was queued starts moving / sources may be overwritten
///
/// A channel is a fixed function of the peer and the signal word, never of warp or block.
namespace llep {

/// A place in a peer's heap. No peer: nothing goes there.
struct Destination {
  std::int32_t peer = -1;
  std::int32_t channel = 0;  // any number; wires take it modulo theirs
  std::uint64_t offset = 0;
};

/// Bytes of a warp's stage.
struct Staged {
  std::uint32_t first = 0;
  std::uint32_t bytes = 0;
  /// Offset in this rank's heap where a wire may keep them until the second op after this one.
  std::uint64_t home = 0;
  const std::byte* from = nullptr;  // where they were loaded from; null: nowhere
};

struct NoFunction {
  constexpr Destination operator()(int /*i*/) const { return {}; }
};
struct NoData {
  constexpr TaggedPair operator()(int /*i*/) const { return {}; }
};
struct NoAwaited {
  constexpr Awaited operator()(int /*i*/) const { return {}; }
};

template <class T, class Warp, class Pipe>
concept Wire = std::is_trivially_copyable_v<T> &&
               requires(const T wire, Warp& warp, Pipe& pipe, std::uint64_t word) {
                 wire.put(warp, pipe, 1, NoFunction{}, Staged{});
                 wire.commit(warp, pipe);
                 wire.signal(warp, 1, NoFunction{}, word);
                 { wire.wait(warp, 1, NoAwaited{}, word, WaitPhase{}) } -> std::same_as<bool>;
                 wire.post(warp, 1, NoData{}, 1, NoFunction{}, word);
                 { wire.arrivals(1, word) } -> std::same_as<std::byte*>;
                 { wire.words(1, word) } -> std::same_as<std::uint64_t*>;
                 wire.flush(warp);
                 wire.drain(warp);
               };

}  // namespace llep
