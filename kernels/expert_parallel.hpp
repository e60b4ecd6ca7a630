// SPDX-License-Identifier: MIT
#pragma once

#include "common/communicator.hpp"
#include "kernels/launcher.hpp"

namespace llep {

/// One rank's dispatch and combine over a connected transport. Every rank makes the same calls in
/// the same order; calls only start work on the device.
class ExpertParallel {
 public:
  /// Collective: zeroes the signal words and epochs. `layout` fits the heap. With a clock, kernels
  /// note when they begin and end.
  ExpertParallel(Communicator& world, Launcher& launcher, Transport& transport,
                 SymmetricHeap& heap, const EpLayout& layout, bool has_clock);

  /// Throws Error(kInternal) on a send half before the receive half of the one before, and the
  /// other way round: two buffers per kind allow one op in flight.
  void dispatch(Halves halves, const DispatchInputs& in, const DispatchOutputs& out);
  /// Sends what the dispatch before it received.
  void combine(Halves halves, const CombineInputs& in, Bf16* out);

  /// There are several, so that nothing needs to be read or cleared between ops that are timed.
  static constexpr int kNumClocks = 2;
  /// Starts all clocks anew.
  void clear_clocks();
  /// The launches from now on are this clock's; -1: none's.
  void use_clock(int clock) { clock_ = clock; }
  /// Once a clock's launches have ended: when the first block entered and the last one left, by the
  /// device's clock. Zeros where nothing was launched.
  BlockTimes op_times(int clock_index) const;

  const EpLayout& layout() const { return layout_; }
  /// The zero-copy expert output in the heap: [L, capacity, hidden] bf16. Null without one.
  Bf16* expert_output() const;

  /// Fault injection: the next dispatch sends this token's row, or the next combine this row of the
  /// last dispatch (in (source, token, k) order), without its signal.
  void drop_signal(int index) { dropped_ = index; }

 private:
  /// One kind of op as the host knows it.
  struct Kind {
    const char* name;
    Memory blocks;
    Memory claims;
    bool in_flight = false;

  };
  OpState state(const Kind& kind) const;
  std::size_t num_blocks() const;
  BlockClock* clock(int index) const;
  void allocate(Kind& kind, std::size_t most_items);
  static void advance(Kind& kind, Halves halves);
  int take_dropped(Halves halves);
  void check_tokens(int num_tokens) const;

  Launcher& launcher_;
  SymmetricHeap& heap_;
  EpLayout layout_;
  AnyWire wire_;
  int rank_;
  Memory entries_;
  Memory first_entry_;
  Books books_;
  Memory clocks_;  // [kNumClocks, num_blocks] BlockClock; none without a clock
  int clock_ = -1;
  Kind dispatch_{.name = "dispatch", .blocks = {}, .claims = {}};
  Kind combine_{.name = "combine", .blocks = {}, .claims = {}};
  int dropped_ = -1;
};

}  // namespace llep
