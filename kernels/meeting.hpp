// SPDX-License-Identifier: MIT
#pragma once

#include "transport/wire.hpp"

/// All ranks meet on their devices: what is launched behind starts on all of them at once, whatever
/// their hosts were doing. On the way their clocks are compared.
namespace llep {

/// One round trip of rank 0's to another rank, by rank 0's clock.
struct RoundTrip {
  std::uint64_t asked_ns = 0;  // right before
  std::uint64_t told_ns = 0;   // right after the answer came
};

struct MeetingArgs {
  /// Round trips with each other rank: the shortest one is undisturbed. They take long enough for
  /// every host to launch what comes behind the meeting.
  static constexpr int kRounds = 16;

  std::uint64_t words = 0;  // EpLayout::meetings
  int rank = 0;
  int num_ranks = 1;
  std::uint64_t epoch = 0;  // of the last signal before this meeting
  // Device memory.
  RoundTrip* trips = nullptr;      // rank 0: [num_ranks][kRounds]
  std::uint64_t* turns = nullptr;  // other ranks: [kRounds], ns by their clock, between the two ways

  /// What a meeting adds to the epoch.
  static constexpr std::uint64_t num_epochs() { return kRounds + 1; }
};

template <class W>
struct Meeting {
  W wire;
  MeetingArgs args;

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    if (warp.block() != 0 || warp.index() != 0) return;
    if (args.rank == 0) {
      for (int peer = 1; peer < args.num_ranks; ++peer) ask(warp, peer);
    } else {
      answer(warp);
    }
    const std::uint64_t last = args.epoch + MeetingArgs::num_epochs();
    signal(warp, 0, args.num_ranks, last);
    wait(warp, 0, args.num_ranks, last);
  }

 private:
  template <class Warp>
  LLEP_DEVICE void ask(Warp& warp, int peer) const {
    for (int round = 0; round < MeetingArgs::kRounds; ++round) {
      const std::uint64_t epoch = args.epoch + 1 + static_cast<std::uint64_t>(round);
      const std::uint64_t asked = Warp::now_ns();
      signal(warp, peer, 1, epoch);
      if (!wait(warp, peer, 1, epoch)) return;
      const std::uint64_t told = Warp::now_ns();
      warp.one([&] { args.trips[peer * MeetingArgs::kRounds + round] = {asked, told}; });
    }
  }
  template <class Warp>
  LLEP_DEVICE void answer(Warp& warp) const {
    for (int round = 0; round < MeetingArgs::kRounds; ++round) {
      const std::uint64_t epoch = args.epoch + 1 + static_cast<std::uint64_t>(round);
      if (!wait(warp, 0, 1, epoch)) return;
      const std::uint64_t turn = Warp::now_ns();  // before the answer: rank 0 may stop at once
      signal(warp, 0, 1, epoch);
      warp.one([&] { args.turns[round] = turn; });
    }
  }

  LLEP_DEVICE std::uint64_t word(int source) const {
    return args.words + static_cast<std::uint64_t>(source) * sizeof(std::uint64_t);
  }
  template <class Warp>
  LLEP_DEVICE void signal(Warp& warp, int first, int n, std::uint64_t epoch) const {
    wire.signal(
        warp, n,
        [&](int i) { return Destination{.peer = first + i, .offset = word(args.rank)}; }, epoch);
    wire.flush(warp);
  }
  /// False: a deadline passed, here or elsewhere.
  template <class Warp>
  LLEP_DEVICE bool wait(Warp& warp, int first, int n, std::uint64_t epoch) const {
    return wire.wait(
        warp, n,
        [&](int i) {
          return Awaited{.word = wire.words(first + i, word(first + i)), .peer = first + i};
        },
        epoch, WaitPhase::kMeeting);
  }
};

}  // namespace llep
