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
ClockOffset clock_offset(const RoundTrip* trips, const std::uint64_t* turns) {
  ClockOffset best;
  std::int64_t shortest = 0;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::int64_t travelled = between(trips[i].asked_ns, trips[i].told_ns);
    if (i > 0 && travelled >= shortest) continue;
    shortest = travelled;
    best.ns = (between(trips[i].asked_ns, turns[i]) + between(trips[i].told_ns, turns[i])) / 2;
    best.error_us = static_cast<double>(travelled) / 2e3;
  }
  return best;
}

DeviceMeeting::DeviceMeeting(const RankContext& context)
    : context_(context),
      collected_trips_(kRounds * static_cast<std::size_t>(context.world.size())),
      collected_turns_(kRounds) {}

void DeviceMeeting::start(std::uint64_t words) {
  Device& device = context_.device;
  if (!turns_) {
    trips_ = device.allocate(collected_trips_.size() * sizeof(RoundTrip));
    turns_ = device.allocate(collected_turns_.size() * sizeof(std::uint64_t));
  }
  context_.launcher.meet(context_.transport.wire(),
                         {.words = words,
                          .rank = context_.world.rank(),
                          .num_ranks = context_.world.size(),
                          .epoch = epoch_,
                          .trips = reinterpret_cast<RoundTrip*>(trips_.get()),
                          .turns = reinterpret_cast<std::uint64_t*>(turns_.get())});
  epoch_ += MeetingArgs::num_epochs();
}

void DeviceMeeting::collect() {
  Device& device = context_.device;
  device.copy(collected_trips_.data(), trips_.get(), collected_trips_.size() * sizeof(RoundTrip));
  device.copy(collected_turns_.data(), turns_.get(),
              collected_turns_.size() * sizeof(std::uint64_t));
}

/// Rank 0 compares and tells the others. A rank that failed before it collected has zeros.
ClockOffsets DeviceMeeting::offsets() const {
  Communicator& world = context_.world;
  const auto turns =
      gather_all(world, std::span<const std::uint64_t>(collected_turns_));  // [num_ranks][kRounds]
  std::vector<ClockOffset> offsets(static_cast<std::size_t>(world.size()));
  for (std::size_t rank = 1; world.rank() == 0 && rank < offsets.size(); ++rank) {
    offsets[rank] = clock_offset(&collected_trips_[rank * kRounds], &turns[rank * kRounds]);
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
