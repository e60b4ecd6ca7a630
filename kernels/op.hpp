// SPDX-License-Identifier: MIT
#pragma once

#include "common/annotations.hpp"
#include "common/exec/model.hpp"
#include "kernels/op_clock.hpp"

/// What every dispatch and combine kernel begins with: its epoch and its share of the send work.
namespace llep {

enum class Halves : int { kSend, kReceive, kBoth };

constexpr bool sends(Halves halves) { return halves != Halves::kReceive; }
constexpr bool receives(Halves halves) { return halves != Halves::kSend; }

/// How many send and receive halves of one kind of op a block has begun. Each block counts for
/// itself, so that a launch needs no atomic and nothing from the host: a captured one can be
/// replayed. All grids of a device have the same number of blocks.
struct alignas(16) BlockEpochs {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

/// One kind of op's state in device memory.
struct OpState {
  BlockEpochs* blocks = nullptr;    // [num_blocks]
  std::uint64_t* claims = nullptr;  // [items] epoch that sent the item last; null: see SendShare
  OpClock clock;
};

/// The head of the block's shared memory.
struct alignas(16) OpStart {
  std::uint64_t epoch = 0;
};

/// All warps of the block call it; returns the epoch of the launch.
template <Halves kHalves, class Warp>
LLEP_DEVICE std::uint64_t begin_op(Warp& warp, const OpState& state) {
  auto* start = reinterpret_cast<OpStart*>(warp.shared());
  if (warp.index() == 0) {
    warp.one([&] {
      BlockEpochs& mine = state.blocks[warp.block()];
      BlockEpochs counts = mine;
      start->epoch = 1 + (sends(kHalves) ? counts.sent : counts.received);
      if constexpr (sends(kHalves)) ++counts.sent;
      if constexpr (receives(kHalves)) ++counts.received;
      mine = counts;
    });
  }
  warp.block_sync();
  return start->epoch;
}

/// A block's share of numbered send work, low numbers first.
///
/// Send work waits for nobody, and no wait may come before the send work of a block that is not
/// running yet. Where all blocks of a grid are resident, each simply sends its share before it
/// waits. Where they are not, items are claimed, and whoever has sent its share goes on with what
/// nobody has claimed: then no block needs another one to be resident.
class SendShare {
 public:
  /// Of the block's first warps, at most `most`, as many send as its share keeps busy.
  LLEP_DEVICE SendShare(int num_items, int num_blocks, int most) : num_items_(num_items) {
    while (num_senders_ < most && num_senders_ * num_blocks < num_items) ++num_senders_;
  }

  LLEP_DEVICE int num_senders() const { return num_senders_; }

  /// Runs f(item) for what this warp, one of the senders, has to send.
  template <class Warp, class F>
  LLEP_DEVICE void run(Warp& warp, const OpState& state, std::uint64_t epoch, F f) const {
    const auto mine = [&](int item) {
      return state.claims == nullptr || warp.one([&] {
        return Warp::fetch_max(&state.claims[item], epoch) != epoch ? 1 : 0;
      }) != 0;
    };
    // One loop for its share and then for what nobody has claimed: f is most of a kernel's code.
    bool own = true;
    int step = num_senders_ * warp.num_blocks();
    int item = warp.index() * warp.num_blocks() + warp.block();
    for (;;) {
      if (item < num_items_) {
        if (mine(item)) f(item);
        item += step;
      } else if (own && state.claims != nullptr) {
        own = false;
        step = 1;
        item = 0;
      } else {
        return;
      }
    }
  }

 private:
  int num_items_;
  int num_senders_ = 0;
};

}  // namespace llep
