// SPDX-License-Identifier: MIT
#pragma once

#include "common/annotations.hpp"
#include "common/exec/model.hpp"

/// What every dispatch and combine kernel begins and ends with: epochs and tickets.
namespace llep {

enum class Halves : int { kSend, kReceive, kBoth };

constexpr bool sends(Halves halves) { return halves != Halves::kReceive; }
constexpr bool receives(Halves halves) { return halves != Halves::kSend; }

/// One kind of op's state in device memory. The host only mirrors it, so that a captured launch
/// can be replayed.
struct OpCounters {
  std::uint64_t sent = 0;      // epochs whose send half has ended
  std::uint64_t received = 0;  // epochs whose receive half has ended
  std::uint32_t ticket = 0;    // next item of send work; 0 between launches
  std::uint32_t left = 0;      // blocks that have left; 0 between launches
};

/// The head of the block's shared memory.
struct alignas(16) OpStart {
  std::uint64_t epoch = 0;
  std::uint32_t ticket = 0;
};

/// Send work is numbered and cut into as many batches as there are blocks; a block takes the next
/// batch when it starts, a warp that has finished takes what blocks that have not started would
/// have got. So all send work is under way before any wait of a block that starts later, and no
/// block needs another one to be resident.
class SendQueue {
 public:
  /// How many warps of a block send: as many as its batch keeps busy, at most `most`.
  LLEP_DEVICE static int num_senders(int num_items, int num_blocks, int most) {
    const int batch = divide_up(num_items, num_blocks);
    return batch < most ? batch : most;
  }

  LLEP_DEVICE SendQueue(OpCounters* counters, const OpStart& start, int num_items, int num_blocks)
      : counters_(counters),
        ticket_(static_cast<int>(start.ticket)),
        num_items_(num_items),
        batch_(divide_up(num_items, num_blocks)) {}

  /// Runs f(item) for every item that this warp, one of the block's first `num_senders`, gets. The
  /// next ticket travels while f works.
  template <class Warp, class F>
  LLEP_DEVICE void run(Warp& warp, int num_senders, F f) const {
    int ticket = ticket_;
    int item = ticket * batch_ + warp.index();
    int step = num_senders;  // the block's own batch is shared out among its senders
    while (ticket * batch_ < num_items_) {
      const auto next = warp.one_later([&] { return Warp::fetch_add(&counters_->ticket, 1U); });
      const int end = (ticket + 1) * batch_ < num_items_ ? (ticket + 1) * batch_ : num_items_;
      for (; item < end; item += step) f(item);
      ticket = static_cast<int>(next.get(warp));
      item = ticket * batch_;
      step = 1;
    }
  }

 private:
  OpCounters* counters_;
  int ticket_;
  int num_items_;
  int batch_;
};

/// All warps of the block call it; returns what all of them share.
template <Halves kHalves, class Warp>
LLEP_DEVICE OpStart begin_op(Warp& warp, OpCounters* counters) {
  auto* start = reinterpret_cast<OpStart*>(warp.shared());
  if (warp.index() == 0) {
    warp.one([&] {
      // Both travel at once: neither is used before both have been asked for.
      const std::uint64_t ended = sends(kHalves) ? counters->sent : counters->received;
      std::uint32_t ticket = 0;
      if constexpr (sends(kHalves)) {
        ticket = Warp::fetch_add(&counters->ticket, 1U);
      }
      *start = OpStart{.epoch = ended + 1, .ticket = ticket};
    });
  }
  warp.block_sync();
  return *start;
}

/// The last block to leave advances the epoch. Nobody reads the counters after having left.
template <Halves kHalves, class Warp>
LLEP_DEVICE void end_op(Warp& warp, OpCounters* counters) {
  warp.block_sync();
  if (warp.index() != 0) return;
  warp.one([&] {
    const auto last = static_cast<std::uint32_t>(warp.num_blocks() - 1);
    if (Warp::fetch_add(&counters->left, 1U) != last) return;
    counters->left = 0;
    counters->ticket = 0;
    if constexpr (sends(kHalves)) ++counters->sent;
    if constexpr (receives(kHalves)) ++counters->received;
  });
}

}  // namespace llep
