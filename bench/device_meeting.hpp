// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "bench/case_run.hpp"
#include "kernels/meeting.hpp"

namespace llep {

/// The ranks' device clocks against rank 0's.
struct ClockOffsets {
  std::vector<std::int64_t> ns = {};  // [num_ranks] how far a rank's is ahead
  double error_us = 0;                // of the difference of two of them, at most
};

/// From rank 0's round trips to a rank and the rank's times of their turns, [kRounds] each; the
/// shortest one counts.
struct ClockOffset {
  std::int64_t ns = 0;
  double error_us = 0;
};
ClockOffset clock_offset(const RoundTrip* trips, const std::uint64_t* turns);

/// Meetings of all ranks on their devices, each right before something that all start together.
class DeviceMeeting {
 public:
  explicit DeviceMeeting(const RankContext& context);

  /// Queues a meeting; `words` of the heap are its own, EpLayout::meetings.
  void start(std::uint64_t words);
  /// Once it is over: what this rank's device has noted.
  void collect();
  /// Collective: of the collected meeting.
  ClockOffsets offsets() const;

 private:
  const RankContext& context_;
  Memory trips_;  // rank 0's alone are noted
  Memory turns_;  // the others'
  std::vector<RoundTrip> collected_trips_;
  std::vector<std::uint64_t> collected_turns_;
  std::uint64_t epoch_ = 0;
};

}  // namespace llep
