// SPDX-License-Identifier: MIT
#pragma once

#include "common/annotations.hpp"
#include "transport/ibgda/cqe.hpp"
#include "transport/wire.hpp"

namespace llep {

/// The smallest depth: one reservation, at most one entry a lane, is at most half of it.
inline constexpr int kLeastSendDepth = 2 * kMaxLanes;

/// What changes of a queue; device memory. Counts grow forever and are cut to the 16 (24) bits that
/// adapters know where they are stored for these.
struct alignas(128) QueueState {
  std::uint64_t reserved = 0;   // entries
  std::uint64_t asked = 0;      // entries up to the last marked one that asks for a completion
  std::uint64_t wanted = 0;     // entries that somebody wanted to be rung
  std::uint64_t rung = 0;       // entries; written by who holds `ringing`
  std::uint64_t completed = 0;  // entries; written by who holds `polling`
  std::uint64_t consumed = 0;   // of the completion queue; likewise
  std::uint64_t polling = 0;    // 1 while a lane reads the completion queue
  std::uint64_t ringing = 0;    // 1 while a lane writes the register; see SendQueue::lock
};

/// An mlx5 send queue and its completion queue as lanes use them; plain data in device memory. The
/// order of stores and why entries are never overwritten or lost: transport/ibgda/README.md.
///
/// Lanes reserve entries, write them, fence, and mark them (`marks`, device memory): none waits for
/// another one's mark. Who rings takes the longest marked run from where the last one ended.
/// Nothing here spins; locks are only tried. What a lane leaves undone because another holds a
/// lock, that one does when it looks again.
struct SendQueue {
  Vec16* entries = nullptr;  // [1 << ring_log2], host memory of four segments each
  std::uint64_t* marks =
      nullptr;  // [depth], device memory: position + 1 of the entry that is ready
  std::uint32_t* record = nullptr;    // the send doorbell record
  std::uint64_t* doorbell = nullptr;  // register
  const std::byte* cqes = nullptr;    // [1 << cqe_log2], host memory
  std::uint32_t* cq_record = nullptr;
  QueueState* state = nullptr;
  std::uint64_t* lock = nullptr;    // `ringing` of one of those that share the register
  const SendQueue* next = nullptr;  // that shares the register, in a ring; itself if it is alone
  std::uint64_t far_base = 0;       // the peer's heap
  std::uint32_t rkey = 0;           // of it
  std::uint32_t qpn = 0;
  std::int32_t peer = -1;
  std::uint32_t depth_log2 = 0;  // entries under way at most; a power of two, at most the ring
  std::uint32_t ring_log2 = 0;
  std::uint32_t cqe_log2 = 0;  // at least depth_log2: completions cannot overflow

  LLEP_DEVICE constexpr std::uint64_t depth() const { return std::uint64_t{1} << depth_log2; }
  /// How many must be complete before this one may be written.
  LLEP_DEVICE constexpr std::uint64_t room_for(std::uint64_t position) const {
    return position + 1 - depth();
  }
  /// Every depth/4-th entry asks for a completion, whoever writes it: who waits for room behind
  /// entries that are rung gets it.
  LLEP_DEVICE constexpr bool must_ask(std::uint64_t position) const {
    const std::uint64_t quarter = depth() / 4;
    return position % quarter == quarter - 1;
  }

  template <class Warp>
  LLEP_DEVICE std::uint64_t reserve() const {
    return Warp::fetch_add(&state->reserved, 1);
  }
  LLEP_DEVICE void store(std::uint64_t position, const Wqe& entry) const {
    Vec16* to = entries + (position & ((1U << ring_log2) - 1)) * (kWqeBytes / sizeof(Vec16));
    for (int s = 0; s < entry.num_segments; ++s) to[s] = entry.segment[s];
  }
  /// After a release that covers the entry.
  template <class Warp>
  LLEP_DEVICE void mark(std::uint64_t position, bool asks) const {
    Warp::store_relaxed(&marks[position & (depth() - 1)], position + 1);
    if (asks) Warp::fetch_max(&state->asked, position + 1);
  }
  /// The entry is rung, by this lane or by the one that rings now, unless one before it is not yet
  /// marked: then by who marks that one, or flushes.
  template <class Warp>
  LLEP_DEVICE void want(std::uint64_t position) const {
    ring<Warp>();
    if (reached(Warp::load_relaxed(&state->rung), position + 1)) return;
    Warp::publish_max(&state->wanted, position + 1);
    ring<Warp>();
  }

  /// Rings all that is marked, here and in the queues that share the register.
  template <class Warp>
  [[gnu::noinline]] LLEP_DEVICE void ring() const {
    bool again = true;
    while (again && Warp::exchange_ordered(lock, 1) == 0) {
      const SendQueue* each = this;
      do {
        each->template ring_marked<Warp>();
        each = each->next;
      } while (each != this);
      Warp::exchange_ordered(lock, 0);
      // Who was refused meanwhile says what it wants and tries once more.
      again = false;
      do {
        again = again || each->template is_left<Warp>();
        each = each->next;
      } while (each != this);
    }
  }

  /// Takes over what the adapter has completed. An error ends the device's work.
  template <class Warp>
  [[gnu::noinline]] LLEP_DEVICE void poll(const Warp& warp) const {
    if (Warp::exchange_ordered(&state->polling, 1) != 0) return;
    const std::uint64_t before = Warp::load_relaxed(&state->consumed);
    std::uint64_t consumed = before;
    std::uint64_t completed = Warp::load_relaxed(&state->completed);
    for (;;) {
      const CqeTail tail{Warp::load_relaxed(cqe_word(consumed, kCqeTailBytes))};
      if (!tail.is_there(consumed, cqe_log2)) break;
      if (tail.is_error()) {
        report<Warp>(warp, tail, consumed);
        break;
      }
      completed = extend(completed, static_cast<std::uint16_t>(tail.wqe_counter() + 1));
      ++consumed;
    }
    if (consumed != before) {
      Warp::fence_system();
      Warp::store_record(cq_record, big_endian(static_cast<std::uint32_t>(consumed & 0xffffff)));
      Warp::store_relaxed(&state->consumed, consumed);
      Warp::store_relaxed(&state->completed, completed);
    }
    Warp::exchange_ordered(&state->polling, 0);
  }

  /// What a lane that waits does for all: nothing marked stays unrung, nothing completed unseen.
  /// Returns how many are complete.
  template <class Warp>
  LLEP_DEVICE std::uint64_t help(const Warp& warp) const {
    if (is_marked<Warp>(Warp::load_relaxed(&state->rung))) ring<Warp>();
    poll(warp);
    return Warp::load_acquire(&state->completed);
  }

 private:
  template <class Warp>
  LLEP_DEVICE bool is_marked(std::uint64_t position) const {
    return Warp::load_relaxed(&marks[position & (depth() - 1)]) == position + 1;
  }
  /// The end of the marked entries from `first` on. Looks at several at once: each look alone would
  /// be a trip to memory.
  template <class Warp>
  LLEP_DEVICE std::uint64_t end_of_marked(std::uint64_t first) const {
    constexpr std::uint64_t kAtOnce = 8;
    for (std::uint64_t end = first;; end += kAtOnce) {
      bool marked[kAtOnce];
      for (std::uint64_t i = 0; i < kAtOnce; ++i) marked[i] = is_marked<Warp>(end + i);
      for (std::uint64_t i = 0; i < kAtOnce; ++i) {
        if (!marked[i]) return end + i;
      }
    }
  }
  template <class Warp>
  LLEP_DEVICE bool is_left() const {
    const std::uint64_t rung = Warp::load_relaxed(&state->rung);
    return !reached(rung, Warp::load_relaxed(&state->wanted)) && is_marked<Warp>(rung);
  }
  template <class Warp>
  LLEP_DEVICE void ring_marked() const {
    const std::uint64_t first = Warp::load_relaxed(&state->rung);
    const std::uint64_t end = end_of_marked<Warp>(first);
    if (end == first) return;
    Warp::fence_system();  // acquires the entries with their marks: the adapter sees them before
    Warp::store_record(record, doorbell_record(end));
    Warp::fence_system();
    Warp::store_doorbell(doorbell, doorbell_value(end, qpn));
    if (next != this) Warp::fence_system();  // the next store to it must not swallow this one
    Warp::store_relaxed(&state->rung, end);  // handed on with the lock
  }

  LLEP_DEVICE const std::uint64_t* cqe_word(std::uint64_t consumed, std::uint32_t offset) const {
    const std::uint64_t entry = consumed & ((1U << cqe_log2) - 1);
    return reinterpret_cast<const std::uint64_t*>(cqes + entry * kCqeBytes + offset);
  }
  template <class Warp>
  LLEP_DEVICE void report(const Warp& warp, const CqeTail& tail, std::uint64_t consumed) const {
    Warp::fence_system();
    const CqeSyndrome what(Warp::load_relaxed(cqe_word(consumed, kCqeSyndromeBytes)));
    warp.fail({.peer = peer}, tail.wqe_opcode(), WaitPhase::kIbgdaError,
              what.syndrome | static_cast<std::uint64_t>(what.vendor) << 8);
  }
};

}  // namespace llep
