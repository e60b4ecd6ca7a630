// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/probe_layout.hpp"
#include "transport/wire.hpp"

/// What a wire costs without routing and rows: messages that warps put and signal. Every warp works
/// for itself, with its own share of a message and its own words. All blocks of a grid are
/// resident.
namespace llep {

/// One launch of a probe, as one rank takes part.
struct ProbeArgs {
  ProbeLayout layout;
  int rank = 0;
  int partner = -1;                 // the other rank; -1: every other rank
  bool sends = true;                // ping-pong: begins; stream: has messages
  bool receives = true;             // stream: is sent messages
  std::uint64_t message_bytes = 0;  // a multiple of 16; 0: the signal alone
  int num_at_once = 1;              // messages that different warps have under way
  int num_rounds = 1;               // messages of each of those
  std::uint64_t epoch = 0;          // of the last round before this launch
};

/// One warp's part of a launch.
struct ProbeShare {
  const ProbeArgs& args;
  int index = 0;        // of the warp in the grid; neighbours are in different blocks
  int num_sharing = 1;  // warps of its message

  template <class Warp>
  LLEP_DEVICE static ProbeShare of(const Warp& warp, const ProbeArgs& args) {
    return {.args = args,
            .index = warp.index() * warp.num_blocks() + warp.block(),
            .num_sharing = args.layout.num_sharing(args.message_bytes)};
  }
  LLEP_DEVICE bool any() const { return index < args.num_at_once * num_sharing; }
  LLEP_DEVICE int num_peers() const { return args.partner >= 0 ? 1 : args.layout.num_ranks - 1; }
  LLEP_DEVICE int peer(int i) const {
    return args.partner >= 0 ? args.partner : (args.rank + 1 + i) % args.layout.num_ranks;
  }
  /// Of the warp's words.
  LLEP_DEVICE Destination word(std::uint64_t words, int to) const {
    return {.peer = to, .channel = index, .offset = args.layout.word(words, args.rank, index)};
  }

  /// Puts the warp's chunks of its message to all peers. A warp with one chunk alone loads it in
  /// the first round and keeps it: what is measured then is the wire.
  template <class Warp, class Pipe, class W>
  LLEP_DEVICE void put(Warp& warp, Pipe& pipe, const W& wire, int round) const {
    const ProbeLayout& layout = args.layout;
    const int num_chunks = layout.num_chunks(args.message_bytes);
    const std::uint64_t message =
        static_cast<std::uint64_t>(index / num_sharing) * args.message_bytes;
    const bool kept = round > 1 && num_chunks == num_sharing;
    for (int chunk = index % num_sharing; chunk < num_chunks; chunk += num_sharing) {
      const auto first = static_cast<std::uint64_t>(chunk) * layout.chunk_bytes;
      const std::uint64_t left = args.message_bytes - first;
      const auto bytes =
          left < layout.chunk_bytes ? static_cast<std::uint32_t>(left) : layout.chunk_bytes;
      const std::uint64_t home = layout.messages + message + first;
      const std::byte* from = wire.arrivals(args.rank, home);
      if (!kept) {
        pipe.retire(warp);
        pipe.load(warp, from, bytes);
        pipe.wait(warp);
      }
      put_chunk(warp, pipe, wire, message + first,
                Staged{.bytes = bytes, .home = home, .from = from});
    }
    if (num_chunks > 0) wire.commit(warp, pipe);
  }

  template <class Warp, class W>
  LLEP_DEVICE void signal(Warp& warp, const W& wire, std::uint64_t words,
                          std::uint64_t epoch) const {
    wire.signal(
        warp, num_peers(), [&](int i) { return word(words, peer(i)); }, epoch);
  }
  /// False: a deadline passed, here or elsewhere.
  template <class Warp, class W>
  LLEP_DEVICE bool wait(Warp& warp, const W& wire, std::uint64_t words, std::uint64_t epoch) const {
    return wire.wait(
        warp, num_peers(),
        [&](int i) {
          const int from = peer(i);
          return Awaited{.word = wire.words(from, args.layout.word(words, from, index)),
                         .peer = from};
        },
        epoch, WaitPhase::kProbe);
  }

  /// Behind wait(): until the other warps that share the message have theirs as well. The last one
  /// tells them.
  template <class Warp, class W>
  LLEP_DEVICE bool gather(Warp& warp, const W& wire, std::uint64_t epoch) const {
    if (num_sharing == 1) return true;
    auto* come = reinterpret_cast<std::uint64_t*>(wire.arrivals(args.rank, args.layout.gathered));
    auto* last = come + ProbeLayout::kWordStride / sizeof *come;
    warp.release();
    warp.one([&] {
      if (Warp::fetch_add(come, 1) + 1 < static_cast<std::uint64_t>(num_sharing)) return;
      Warp::exchange(come, 0);
      Warp::publish_max(last, epoch);
    });
    return warp.wait_all(
        1, [&](int) { return Awaited{.word = last, .peer = args.partner}; }, epoch,
        WaitPhase::kProbe);
  }

 private:
  template <class Warp, class Pipe, class W>
  LLEP_DEVICE void put_chunk(Warp& warp, Pipe& pipe, const W& wire, std::uint64_t offset,
                             const Staged& staged) const {
    for (int first = 0; first < num_peers(); first += kMaxLanes) {
      const int left = num_peers() - first;
      wire.put(
          warp, pipe, left < kMaxLanes ? left : kMaxLanes,
          [&](int i) {
            return Destination{.peer = peer(first + i),
                               .channel = index,
                               .offset = args.layout.window(args.rank) + offset};
          },
          staged);
    }
  }
};

/// Two ranks throw a message to and fro, each when it has all of the other's: half of a round is the
/// latency. The peer's message of a round proves that this rank's own has arrived, so its home may
/// be written again.
///
/// With every other rank as partner, and all of them sending first, a round is the least that an
/// all-to-all does: a message to each, and everybody's awaited. A peer's message then does not prove
/// that this rank's own has arrived there: homes and windows are written again as a stream's are, by
/// the same bytes. Ranks are one round apart at most, and once all have ended all has arrived.
template <class W>
struct PingPong {
  W wire;
  ProbeArgs args;

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& pipe) const {
    const auto share = ProbeShare::of(warp, args);
    if (!share.any()) return;
    for (int round = 1; round <= args.num_rounds; ++round) {
      const std::uint64_t epoch = args.epoch + static_cast<std::uint64_t>(round);
      if (!args.sends && !arrived(share, warp, epoch)) return;
      share.put(warp, pipe, wire, round);
      share.signal(warp, wire, args.layout.arrived, epoch);
      wire.flush(warp);
      if (args.sends && !arrived(share, warp, epoch)) return;
    }
  }

 private:
  template <class Warp>
  LLEP_DEVICE bool arrived(const ProbeShare& share, Warp& warp, std::uint64_t epoch) const {
    return share.wait(warp, wire, args.layout.arrived, epoch) &&
           (args.partner < 0 || share.gather(warp, wire, epoch));
  }
};

/// Messages one behind the other, each with its signal; the receiver answers the last one. A home
/// is written again while its bytes are still on their way: by the same bytes.
template <class W>
struct Stream {
  W wire;
  ProbeArgs args;

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& pipe) const {
    const auto share = ProbeShare::of(warp, args);
    if (!share.any()) return;
    const ProbeLayout& layout = args.layout;
    const std::uint64_t last = args.epoch + static_cast<std::uint64_t>(args.num_rounds);
    for (int round = 1; args.sends && round <= args.num_rounds; ++round) {
      share.put(warp, pipe, wire, round);
      share.signal(warp, wire, layout.arrived, args.epoch + static_cast<std::uint64_t>(round));
    }
    wire.flush(warp);
    if (args.receives) {
      if (!share.wait(warp, wire, layout.arrived, last)) return;
      share.signal(warp, wire, layout.answered, last);
      wire.flush(warp);
    }
    if (args.sends) share.wait(warp, wire, layout.answered, last);
  }
};

}  // namespace llep
