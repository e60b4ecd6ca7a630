// SPDX-License-Identifier: MIT
#pragma once

#include <bit>

#include "common/annotations.hpp"
#include "common/exec/model.hpp"
#include "transport/fifo/descriptor.hpp"
#include "transport/wire.hpp"

namespace llep {

/// A ring of descriptors as kernels see it: many warps push, one proxy thread reads. Positions grow
/// forever; position p lies in slot p % depth, in lap p / depth; depths are powers of two.
///
/// Why a descriptor may be acted on once its slot is valid: the pusher's `release` comes before its
/// relaxed stores of the slot's words, a release pattern; the proxy loads word 0 with acquire. What
/// the warp wrote, or what other warps committed before a sync with it, is in the causality order
/// before what the proxy then does (PTX ISA, "Memory Consistency Model": release patterns,
/// causality order through barriers). The words need no order among themselves, see Slot.
/// Why a slot may be overwritten: the proxy releases `tail` after its last load of the slot, and who
/// reserves the slot's next lap has acquired a tail beyond it, directly or through `seen_tail`, in
/// one lane, and syncs the warp before any lane stores.
struct FifoRing {
  Slot* slots = nullptr;                    // [depth], host memory
  const std::uint64_t* tail = nullptr;      // host memory: all before it have been read
  const std::uint64_t* completed = nullptr; // host memory: sources of all before it are free
  std::uint64_t* head = nullptr;            // device memory: all before it are reserved
  std::uint64_t* seen_tail = nullptr;       // device memory: the tail as somebody saw it last
  std::uint64_t* asking = nullptr;          // device memory: 1 while a warp is reading the tail
  std::uint32_t depth_log2 = 0;

  LLEP_DEVICE constexpr std::uint32_t depth() const { return 1U << depth_log2; }

  /// Pushes what(i) for i < n <= depth as neighbours in the ring; `peer` is what a fault names.
  /// False: there was no room until the deadline.
  template <class Warp, class F>
  LLEP_DEVICE bool push(Warp& warp, int n, std::int32_t peer, F what) const {
    const std::uint64_t first = reserve(warp, n, peer);
    if (first == kNoRoom) return false;
    warp.for_each(n, [&](int i) { store<Warp>(first + static_cast<std::uint64_t>(i), what(i)); });
    warp.sync();
    return true;
  }
  /// The same for the set bits i of `lanes`, each described by its own lane.
  template <class Warp, class F>
  LLEP_DEVICE bool push_lanes(Warp& warp, std::uint32_t lanes, std::int32_t peer, F what) const {
    const std::uint64_t first = reserve(warp, std::popcount(lanes), peer);
    if (first == kNoRoom) return false;
    warp.for_each(kMaxLanes, [&](int i) {
      if ((lanes >> i & 1U) == 0) return;
      const int earlier = std::popcount(lanes & ((1U << i) - 1U));
      store<Warp>(first + static_cast<std::uint64_t>(earlier), what(i));
    });
    warp.sync();
    return true;
  }

  /// Waits until all that has been reserved so far is complete.
  template <class Warp>
  LLEP_DEVICE bool drain(Warp& warp) const {
    const std::uint64_t all = warp.one([&] { return Warp::load_acquire(head); });
    return warp.wait_for({}, all, WaitPhase::kFifoDrain,
                         [&] { return Warp::load_acquire(completed); });
  }

 private:
  static constexpr std::uint64_t kNoRoom = ~std::uint64_t{0};

  /// The first of n positions whose slots are free. The tail lies across the bus: what somebody saw of
  /// it last is enough most of the time, and is asked for together with the positions.
  template <class Warp>
  LLEP_DEVICE std::uint64_t reserve(Warp& warp, int n, std::int32_t peer) const {
    const auto count = static_cast<std::uint64_t>(n);
    const auto reserved = warp.one_later([&] { return Warp::fetch_add(head, count); });
    const auto looked = warp.one_later([&] { return Warp::load_acquire(seen_tail); });
    const std::uint64_t first = reserved.get(warp);
    const std::uint64_t seen = looked.get(warp);
    const std::uint64_t needed = first + count - depth();
    const bool free = reached(seen, needed) || wait_for_tail(warp, needed, peer);
    warp.sync();  // what one lane has acquired comes before what any lane stores
    return free ? first : kNoRoom;
  }

  /// While the ring is full one warp at a time reads the tail, for all.
  template <class Warp>
  LLEP_DEVICE bool wait_for_tail(Warp& warp, std::uint64_t needed, std::int32_t peer) const {
    return warp.wait_for({.peer = peer}, needed, WaitPhase::kFifoRoom, [&] {
      const std::uint64_t seen = Warp::load_acquire(seen_tail);
      if (reached(seen, needed) || Warp::exchange(asking, 1) != 0) return seen;
      const std::uint64_t now = Warp::load_acquire(tail);
      Warp::publish_max(seen_tail, now);
      Warp::exchange(asking, 0);
      return now;
    });
  }

  template <class Warp>
  LLEP_DEVICE void store(std::uint64_t position, const Descriptor& what) const {
    Warp::store_slot(slots[position & (depth() - 1)].word,
                     encode(what, position >> depth_log2).word);
  }
};

}  // namespace llep
