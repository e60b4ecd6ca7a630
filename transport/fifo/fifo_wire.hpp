// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/proxy_wire.hpp"
#include "transport/fifo/ring.hpp"

namespace llep {

inline constexpr int kMaxProxies = 16;

/// The far side of a hybrid wire: descriptors pushed to rings, which proxy threads carry out.
///
/// Why the contract holds: a channel belongs to one ring. `put` pushes after a release, `signal`
/// pushes after the puts it orders have been pushed (by this warp, or by one that synchronised with
/// it), so they lie in that order in the ring; from there on it is ProxyWire's contract.
struct FifoWire {
  FifoRing rings[kMaxProxies];
  ChannelMap map;
  std::byte* heap = nullptr;    // where sources lie and what far peers put arrives
  std::uint64_t heap_bytes = 0;
  std::byte* posted = nullptr;  // where posted words lie
  std::byte* words = nullptr;   // where far peers' words and signals arrive
  bool from_inputs = false;     // sources may be the user's memory: drain waits for them

  LLEP_DEVICE bool can_send_from(const std::byte* from, std::uint32_t bytes) const {
    return from >= heap && from + bytes <= heap + heap_bytes;
  }

  LLEP_DEVICE std::byte* posted_heap() const { return posted; }
  LLEP_DEVICE std::byte* word_heap() const { return words; }

  /// Starts copies of bytes of the heap to to(i), i < n <= 32, what has no peer left out.
  template <class Warp, class F>
  LLEP_DEVICE void put(Warp& warp, int n, F to, const std::byte* from, std::uint32_t bytes) const {
    warp.release();
    push(warp, n, to, [&](const Destination& place) {
      return Descriptor{.kind = DescriptorKind::kPut, .bytes = bytes, .to = place.offset,
                        .from = offset_of(from)};
    });
  }
  template <class Warp, class F>
  LLEP_DEVICE void put_words(Warp& warp, int n, F to, const std::byte* from,
                             std::uint32_t bytes) const {
    warp.release();
    push(warp, n, to, [&](const Destination& place) {
      return Descriptor{.kind = DescriptorKind::kWords, .bytes = bytes, .to = place.offset,
                        .from = static_cast<std::uint64_t>(from - posted)};
    });
  }
  template <class Warp, class F>
  LLEP_DEVICE void signal(Warp& warp, int n, F to, std::uint64_t epoch) const {
    push(warp, n, to, [&](const Destination& place) {
      return Descriptor{.kind = DescriptorKind::kSignal, .to = place.offset, .from = epoch};
    });
  }
  template <class Warp>
  LLEP_DEVICE void flush(Warp& /*warp*/) const {}  // proxies wait for nothing
  template <class Warp>
  LLEP_DEVICE void drain(Warp& warp) const {
    warp.sync();
    for (int p = 0; from_inputs && p < map.num_proxies; ++p) rings[p].drain(warp);
  }

 private:
  /// Ring by ring, in pieces that fit a ring.
  template <class Warp, class F, class What>
  LLEP_DEVICE void push(Warp& warp, int n, F to, What what) const {
    const auto peers = warp.lanes(n, [&](int i) { return to(i).peer; });
    const auto proxies = warp.lanes(n, [&](int i) {
      return peers[i] < 0 ? -1 : map.proxy_of(peers[i], channel_of(to(i)));
    });
    for (int p = 0; p < map.num_proxies; ++p) {
      std::uint32_t left = warp.bits(n, [&](int i) { return proxies[i] == p ? 1U << i : 0U; });
      while (left != 0) {
        const std::uint32_t piece = lowest_bits(left, rings[p].depth());
        left &= ~piece;
        rings[p].push_lanes(warp, piece, peers.get(warp, lowest_bit(piece)), [&](int i) {
          const Destination place = to(i);
          Descriptor descriptor = what(place);
          descriptor.peer = place.peer;
          descriptor.channel = channel_of(place);
          return descriptor;
        });
      }
    }
  }

  LLEP_DEVICE std::uint64_t offset_of(const std::byte* from) const {
    return static_cast<std::uint64_t>(from - heap);
  }
  LLEP_DEVICE std::int32_t channel_of(const Destination& place) const {
    return place.channel % map.channels_per_peer;
  }
  LLEP_DEVICE static std::uint32_t lowest_bits(std::uint32_t bits, std::uint32_t most) {
    std::uint32_t rest = bits;
    for (std::uint32_t i = 0; i < most && rest != 0; ++i) rest &= rest - 1;
    return bits & ~rest;
  }
};

}  // namespace llep
