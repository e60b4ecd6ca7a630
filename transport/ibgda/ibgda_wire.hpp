// SPDX-License-Identifier: MIT
#pragma once

#include "transport/ibgda/posting.hpp"

namespace llep {

/// Registered memory of this rank that rows may be sent from where they lie.
struct SourceRegion {
  std::uint64_t base = 0;
  std::uint64_t bytes = 0;
  std::uint32_t lkey = 0;

  LLEP_DEVICE constexpr bool holds(std::uint64_t address, std::uint32_t length) const {
    return address >= base && address - base + length <= bytes;
  }
};
inline constexpr int kMaxSources = 8;

/// What changes between cases while the wire stays; device memory, written by the host while no
/// kernel runs.
struct IbgdaBooks {
  SourceRegion sources[kMaxSources];  // the heap is the first; no bytes: none
  /// Sources that peers' begins do not protect (see HybridWire): drain waits for them.
  std::uint32_t has_inputs = 0;
  /// [num_ranks][written_words] what this rank signalled last; null: signals are writes.
  std::uint64_t* written = nullptr;
  std::uint64_t written_words = 0;  // of the heap's first ones
};

/// The far side of a hybrid wire: entries that warps write into the send queues of mlx5 adapters.
///
/// Why the contract holds: a channel is one queue pair. `put` has reserved its place in the send
/// queue when it returns, `signal` reserves later ones (by this warp, or by one that synchronised
/// with it), and entries are rung in the order of their places. From there on it is what
/// transport/fifo/verbs_wire.hpp says of one queue pair.
struct IbgdaWire {
  const SendQueue* queues = nullptr;  // [num_ranks * channels_per_peer], device memory
  const IbgdaBooks* books = nullptr;  // device memory
  std::byte* heap = nullptr;          // where far peers' rows arrive
  WqeLocal results;                   // where old values of atomics go, which nobody reads
  std::int32_t num_ranks = 0;
  std::int32_t channels_per_peer = 1;
  RingPolicy policy;

  LLEP_DEVICE std::byte* posted_heap() const { return heap; }
  LLEP_DEVICE std::byte* word_heap() const { return heap; }
  LLEP_DEVICE bool can_send_from(const std::byte* from, std::uint32_t bytes) const {
    return find(from, bytes) >= 0;
  }

  /// Starts copies of registered bytes to to(i), i < n <= 32, what has no peer left out.
  template <class Warp, class F>
  LLEP_DEVICE void put(Warp& warp, int n, F to, const std::byte* from, std::uint32_t bytes) const {
    put_as(warp, n, to, from, bytes, {.policy = policy});
  }
  /// Words of this kind need no signal: it is they who ring.
  template <class Warp, class F>
  LLEP_DEVICE void put_words(Warp& warp, int n, F to, const std::byte* from,
                             std::uint32_t bytes) const {
    put_as(warp, n, to, from, bytes, {.doorbell = ringing(), .policy = policy});
  }
  template <class Warp, class F>
  LLEP_DEVICE void signal(Warp& warp, int n, F to, std::uint64_t epoch) const {
    const PostRules rules{.completion = Completion::kAsk, .doorbell = ringing(), .policy = policy};
    const auto places = offsets(warp, n, to);
    if (books->written == nullptr) {
      posting(warp, n, to)
          .post(warp, rules, [&](int i, const WqeHead& head, const SendQueue& queue) {
            return encode_inline(head, remote(queue, places[i]), epoch);
          });
      return;
    }
    posting(warp, n, to).post(warp, rules, [&](int i, const WqeHead& head, const SendQueue& queue) {
      return encode_fetch_add(head, remote(queue, places[i]), difference(queue, places[i], epoch),
                              results);
    });
  }
  template <class Warp>
  LLEP_DEVICE void flush(Warp& warp) const {
    for_all_queues(warp, [&](const auto& some) {
      some.flush(warp);
      return true;
    });
  }
  template <class Warp>
  LLEP_DEVICE void drain(Warp& warp) const {
    warp.sync();
    if (books->has_inputs == 0) return;
    for_all_queues(warp, [&](const auto& some) { return some.drain(warp); });
  }

 private:
  LLEP_DEVICE constexpr Doorbell ringing() const {
    return policy.is_tail() ? Doorbell::kNow : Doorbell::kLater;
  }
  /// The region that holds the bytes; -1: none.
  LLEP_DEVICE int find(const std::byte* from, std::uint32_t bytes) const {
    int found = -1;
    for (int s = 0; s < kMaxSources; ++s) {
      if (books->sources[s].holds(reinterpret_cast<std::uint64_t>(from), bytes)) found = s;
    }
    return found;
  }
  LLEP_DEVICE static WqeRemote remote(const SendQueue& queue, std::uint64_t offset) {
    return {.address = queue.far_base + offset, .rkey = queue.rkey};
  }
  template <class Warp, class F>
  LLEP_DEVICE static auto offsets(Warp& warp, int n, F to) {
    return warp.lanes(n, [&](int i) { return to(i).offset; });
  }
  /// Each lane works out once which queue is its own.
  template <class Warp, class F>
  LLEP_DEVICE auto posting(Warp& warp, int n, F to) const {
    const auto index = warp.lanes(n, [&](int i) {
      const Destination place = to(i);
      return place.peer < 0 ? -1
                            : place.peer * channels_per_peer + place.channel % channels_per_peer;
    });
    const std::uint32_t lanes = warp.bits(n, [&](int i) { return index[i] >= 0 ? 1U << i : 0U; });
    const auto queue = [all = queues, index](int i) -> const SendQueue& { return all[index[i]]; };
    return Posting{lanes, queue};
  }

  template <class Warp, class F>
  LLEP_DEVICE void put_as(Warp& warp, int n, F to, const std::byte* from, std::uint32_t bytes,
                          const PostRules& rules) const {
    warp.refuse_dirty("put");  // lanes read what they send inline
    const auto some = posting(warp, n, to);
    if (some.lanes == 0) return;
    const auto places = offsets(warp, n, to);
    if (bytes <= kMostInlineBytes) {
      some.post(warp, rules, [&](int i, const WqeHead& head, const SendQueue& queue) {
        InlineWords words;
        for (std::uint32_t w = 0; w < bytes / sizeof(std::uint32_t); ++w) {
          words.word[w] = reinterpret_cast<const std::uint32_t*>(from)[w];
        }
        return encode_inline(head, remote(queue, places[i]), words, bytes);
      });
      return;
    }
    const WqeLocal local{.address = reinterpret_cast<std::uint64_t>(from),
                         .bytes = bytes,
                         .lkey = books->sources[find(from, bytes)].lkey};
    some.post(warp, rules, [&](int i, const WqeHead& head, const SendQueue& queue) {
      return encode_write(head, remote(queue, places[i]), local);
    });
  }

  /// What makes the last value that this rank, the word's only writer, wrote there the epoch.
  LLEP_DEVICE std::uint64_t difference(const SendQueue& queue, std::uint64_t offset,
                                       std::uint64_t epoch) const {
    std::uint64_t& last =
        books->written[static_cast<std::uint64_t>(queue.peer) * books->written_words +
                       offset / sizeof(std::uint64_t)];
    const std::uint64_t add = epoch - last;
    last = epoch;
    return add;
  }

  /// f(posting) for all queues, 32 at a time, until it says false.
  template <class Warp, class F>
  LLEP_DEVICE void for_all_queues(Warp& warp, F f) const {
    const int num_queues = num_ranks * channels_per_peer;
    for (int first = 0; first < num_queues; first += kMaxLanes) {
      const auto queue = [this, first](int i) -> const SendQueue& { return queues[first + i]; };
      const std::uint32_t lanes = warp.bits(kMaxLanes, [&](int i) {
        return first + i < num_queues && queue(i).state != nullptr ? 1U << i : 0U;
      });
      if (lanes != 0 && !f(Posting{lanes, queue})) return;
    }
  }
};

}  // namespace llep
