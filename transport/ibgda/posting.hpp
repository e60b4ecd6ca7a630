// SPDX-License-Identifier: MIT
#pragma once

#include "transport/ibgda/send_queue.hpp"

/// What a warp does with send queues, one entry a lane at a time.
namespace llep {

enum class Completion : std::int32_t { kNone, kAsk };
enum class Doorbell : std::int32_t { kLater, kNow };

/// When queues are rung beside where a post says so.
struct RingPolicy {
  std::uint32_t every = 8;  // entries that wait for a doorbell at most; 0 (tail): signals ring

  LLEP_DEVICE constexpr bool is_tail() const { return every == 0; }
};

struct PostRules {
  Completion completion = Completion::kNone;
  Doorbell doorbell = Doorbell::kLater;
  RingPolicy policy = {};
};

/// Some of the queues of a rank, one for each of up to 32 lanes.
///   queue(i)  const SendQueue&, for the bits i of `lanes`
template <class QueueOf>
struct Posting {
  std::uint32_t lanes = 0;
  QueueOf queue;

  /// Posts encode(i, head, queue), a Wqe, to every lane's queue: one reservation, one fence and one
  /// publication for all lanes that have room. Others wait for room, each for its own queue's, and
  /// hold nothing up in the queues of the others. False: a deadline passed.
  template <class Warp, class Encode>
  LLEP_DEVICE bool post(Warp& warp, const PostRules& rules, Encode encode) const {
    const auto positions = warp.lanes(
        kMaxLanes, [&](int i) { return has(lanes, i) ? queue(i).template reserve<Warp>() : 0; });
    const auto needed = warp.lanes(kMaxLanes, [&](int i) {
      return has(lanes, i) ? queue(i).room_for(positions[i]) : std::uint64_t{0};
    });
    const auto asks = [&](int i) {
      return rules.completion == Completion::kAsk || queue(i).must_ask(positions[i]);
    };
    for (std::uint32_t left = lanes; left != 0;) {
      const std::uint32_t ready = with_room(warp, left, needed);
      if (ready == 0) return false;
      warp.for_each(kMaxLanes, [&](int i) {
        if (!has(ready, i)) return;
        const SendQueue& own = queue(i);
        const WqeHead head{.position = positions[i], .qpn = own.qpn, .completion = asks(i)};
        own.store(positions[i], encode(i, head, own));
      });
      warp.release();
      warp.for_each(kMaxLanes, [&](int i) {
        if (!has(ready, i)) return;
        queue(i).template mark<Warp>(positions[i], asks(i));
        if (rings<Warp>(queue(i), positions[i], rules)) {
          queue(i).template want<Warp>(positions[i]);
        }
      });
      warp.sync();
      left &= ~ready;
    }
    return true;
  }

  /// Rings what has been marked so far.
  template <class Warp>
  LLEP_DEVICE void flush(Warp& warp) const {
    warp.for_each(kMaxLanes, [&](int i) {
      if (!has(lanes, i)) return;
      const std::uint64_t reserved = Warp::load_relaxed(&queue(i).state->reserved);
      const std::uint64_t rung = Warp::load_relaxed(&queue(i).state->rung);
      if (reserved != rung) queue(i).template want<Warp>(reserved - 1);
    });
    warp.sync();
  }

  /// Waits until all that has been reserved so far is complete. Where nobody asks for that in a
  /// while, an entry that does nothing else is posted. False: a deadline passed.
  template <class Warp>
  LLEP_DEVICE bool drain(Warp& warp) const {
    const auto all = warp.lanes(kMaxLanes, [&](int i) {
      return has(lanes, i) ? Warp::load_relaxed(&queue(i).state->reserved) : std::uint64_t{0};
    });
    std::uint32_t left = lanes;
    for (int polls = 0; left != 0 && polls < kPatience; ++polls) {
      left = warp.bits(kMaxLanes, [&](int i) {
        return has(left, i) && !reached(queue(i).help(warp), all[i]) ? 1U << i : 0U;
      });
    }
    const std::uint32_t silent = warp.bits(kMaxLanes, [&](int i) {
      if (!has(left, i)) return 0U;
      return reached(Warp::load_relaxed(&queue(i).state->asked), all[i]) ? 0U : 1U << i;
    });
    const PostRules rules{.completion = Completion::kAsk, .doorbell = Doorbell::kNow};
    const auto nop = [](int, const WqeHead& head, const SendQueue&) { return encode_nop(head); };
    if (silent != 0 && !Posting{silent, queue}.post(warp, rules, nop)) return false;
    while (left != 0) {
      const std::uint32_t done = wait(warp, left, all, WaitPhase::kIbgdaDrain);
      if (done == 0) return false;
      left &= ~done;
    }
    return true;
  }

 private:
  /// Of drain, in looks at the completion queue: warps that have put and not yet signalled ask
  /// soon.
  static constexpr int kPatience = 32;

  LLEP_DEVICE static constexpr bool has(std::uint32_t bits, int i) { return (bits >> i & 1U) != 0; }

  /// Of `left` those lanes whose entries may be written, at least one; 0: a deadline passed.
  template <class Warp, class Needed>
  LLEP_DEVICE std::uint32_t with_room(Warp& warp, std::uint32_t left, const Needed& needed) const {
    const std::uint32_t ready = warp.bits(kMaxLanes, [&](int i) {
      if (!has(left, i)) return 0U;
      return reached(Warp::load_acquire(&queue(i).state->completed), needed[i]) ? 1U << i : 0U;
    });
    return ready != 0 ? ready : wait(warp, left, needed, WaitPhase::kIbgdaRoom);
  }
  template <class Warp, class Values>
  LLEP_DEVICE std::uint32_t wait(Warp& warp, std::uint32_t left, const Values& values,
                                 WaitPhase phase) const {
    return warp.wait_some(
        left, values, phase, [&](int i) { return Awaited{.peer = queue(i).peer}; },
        [&](int i) { return queue(i).help(warp); });
  }

  /// Somebody may have wanted later entries to be rung while this one was not yet marked.
  template <class Warp>
  LLEP_DEVICE static bool rings(const SendQueue& queue, std::uint64_t position,
                                const PostRules& rules) {
    if (rules.doorbell == Doorbell::kNow) return true;
    const std::uint64_t rung = Warp::load_relaxed(&queue.state->rung);
    const bool due = !rules.policy.is_tail() && reached(position + 1 - rung, rules.policy.every);
    return due || !reached(position + 1, Warp::load_relaxed(&queue.state->wanted));
  }
};
template <class QueueOf>
Posting(std::uint32_t, QueueOf) -> Posting<QueueOf>;

}  // namespace llep
