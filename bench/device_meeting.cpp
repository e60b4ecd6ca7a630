// SPDX-License-Identifier: MIT
#include "bench/device_meeting.hpp"

#include <algorithm>
#include <span>

namespace llep {

namespace {

constexpr std::size_t kRounds = MeetingArgs::kRounds;

std::int64_t between(std::uint64_t from, std::uint64_t to) {
  return static_cast<std::int64_t>(to - from);
}

}  // namespace

/// As NTP does (RFC 5905, section 8): the way there and the way back are taken to be equally long;
/// the error is half of both where one of them took no time at all.
ClockOffset clock_offset(const ClockStamps* at_zero, const ClockStamps* at_rank) {
  ClockOffset best;
  std::int64_t shortest = 0;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::int64_t travelled = between(at_zero[i].before_ns, at_zero[i].after_ns) -
                                   between(at_rank[i].before_ns, at_rank[i].after_ns);
    if (i > 0 && travelled >= shortest) continue;
    shortest = travelled;
    best.ns = (between(at_zero[i].before_ns, at_rank[i].before_ns) +
               between(at_zero[i].after_ns, at_rank[i].after_ns)) /
              2;
    best.error_us = static_cast<double>(travelled) / 2e3;
  }
  return best;
}

std::size_t DeviceMeeting::num_stamps() const {
  const bool is_zero = context_.world.rank() == 0;
  return kRounds * (is_zero ? static_cast<std::size_t>(context_.world.size()) : 1);
}

void DeviceMeeting::start(std::uint64_t words) {
  if (!stamps_) stamps_ = context_.device.allocate(num_stamps() * sizeof(ClockStamps));
  context_.launcher.meet(context_.transport.wire(),
                         {.words = words,
                          .rank = context_.world.rank(),
                          .num_ranks = context_.world.size(),
                          .epoch = epoch_,
                          .stamps = reinterpret_cast<ClockStamps*>(stamps_.get())});
  epoch_ += MeetingArgs::num_epochs();
}

void DeviceMeeting::collect() {
  collected_.resize(num_stamps());
  context_.device.copy(collected_.data(), stamps_.get(), collected_.size() * sizeof(ClockStamps));
}

/// Rank 0 compares and tells the others. A rank that failed before it collected has zeros.
ClockOffsets DeviceMeeting::offsets() const {
  Communicator& world = context_.world;
  std::vector<ClockStamps> mine = collected_;
  mine.resize(num_stamps());
  const auto seen =
      gather_all(world, std::span<const ClockStamps>(mine).first(kRounds));  // [num_ranks][kRounds]
  std::vector<ClockOffset> offsets(static_cast<std::size_t>(world.size()));
  for (std::size_t rank = 1; world.rank() == 0 && rank < offsets.size(); ++rank) {
    offsets[rank] = clock_offset(&mine[rank * kRounds], &seen[rank * kRounds]);
  }
  offsets = gather_all(world, std::span<const ClockOffset>(offsets));
  offsets.resize(static_cast<std::size_t>(world.size()));  // as rank 0 says
  ClockOffsets all;
  for (const ClockOffset& one : offsets) all.ns.push_back(one.ns);
  // Of two ranks, both of which were compared with rank 0.
  std::sort(offsets.begin(), offsets.end(),
            [](const auto& a, const auto& b) { return a.error_us > b.error_us; });
  for (std::size_t i = 0; i < 2 && i < offsets.size(); ++i) all.error_us += offsets[i].error_us;
  return all;
}

}  // namespace llep
