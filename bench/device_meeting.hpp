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

/// From round trips of one rank with rank 0, as each of them saw them; the shortest one counts.
struct ClockOffset {
  std::int64_t ns = 0;
  double error_us = 0;
};
ClockOffset clock_offset(const ClockStamps* at_zero, const ClockStamps* at_rank);

/// Meetings of all ranks on their devices, each right before something that all start together.
class DeviceMeeting {
 public:
  explicit DeviceMeeting(const RankContext& context) : context_(context) {}

  /// Queues a meeting; `words` of the heap are its own, EpLayout::meetings.
  void start(std::uint64_t words);
  /// Once it is over: what this rank's device has noted.
  void collect();
  /// Collective: of the collected meeting.
  ClockOffsets offsets() const;

 private:
  std::size_t num_stamps() const;

  const RankContext& context_;
  Memory stamps_;
  std::vector<ClockStamps> collected_;
  std::uint64_t epoch_ = 0;
};

}  // namespace llep
