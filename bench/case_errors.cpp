// SPDX-License-Identifier: MIT
#include "bench/case_errors.hpp"

#include <fmt/format.h>

namespace llep {

namespace {

/// Not there: does not apply.
template <class T>
std::optional<T> known(T value) {
  return value < 0 ? std::nullopt : std::optional(value);
}

std::optional<std::int64_t> known_index(std::int64_t value) { return known(value); }

ErrorValue text_value(const std::string& text) {
  return text.empty() ? ErrorValue() : ErrorValue(text);
}

std::string describe_fifo(const FaultRecord& fault, double timeout_ms) {
  const bool room = fault.phase == WaitPhase::kFifoRoom;
  std::string line = fmt::format(
      "rank {}: {}: waited {:g} ms: {} of {} descriptors have been {}; the proxy thread or its "
      "wire stands still",
      fault.rank, to_string(fault.phase), timeout_ms, fault.seen, fault.expected,
      room ? "read" : "completed");
  return line + (fault.peer < 0 ? "" : fmt::format(" (the next is for rank {})", fault.peer));
}

std::string describe_ibgda(const FaultRecord& fault, double timeout_ms) {
  if (fault.phase == WaitPhase::kIbgdaError) {
    return fmt::format(
        "rank {}: {}: to rank {}, entry's opcode {:#x}, syndrome {:#x} (vendor's {:#x})",
        fault.rank, to_string(fault.phase), fault.peer, fault.expected, fault.seen & 0xff,
        fault.seen >> 8);
  }
  return fmt::format(
      "rank {}: {}: waited {:g} ms for the adapter to complete {} entries to rank {}, "
      "it has completed {}; does it hear its doorbells?",
      fault.rank, to_string(fault.phase), timeout_ms, fault.expected, fault.peer, fault.seen);
}

bool is_ibgda(WaitPhase phase) {
  return phase == WaitPhase::kIbgdaRoom || phase == WaitPhase::kIbgdaDrain ||
         phase == WaitPhase::kIbgdaError;
}

}  // namespace

std::string describe(const FaultRecord& fault, double timeout_ms) {
  if (is_ibgda(fault.phase)) return describe_ibgda(fault, timeout_ms);
  if (fault.phase == WaitPhase::kFifoRoom || fault.phase == WaitPhase::kFifoDrain) {
    return describe_fifo(fault, timeout_ms);
  }
  std::string line = fmt::format("rank {}: {}: waited {:g} ms for rank {}", fault.rank,
                                 to_string(fault.phase), timeout_ms, fault.peer);
  if (fault.expert >= 0) line += fmt::format(", expert {}", fault.expert);
  if (fault.token >= 0) line += fmt::format(", token {}", fault.token);
  return line + fmt::format(": expected epoch {}, seen {}", fault.expected, fault.seen);
}

ErrorRecord error_of(const FaultRecord& fault, double timeout_ms) {
  return {.phase = to_string(fault.phase),
          .rank = known(fault.rank),
          .peer = known(fault.peer),
          .expert = known(fault.expert),
          .token = known_index(fault.token),
          .expected = fault.expected,
          .seen = fault.seen,
          .message = describe(fault, timeout_ms)};
}

std::vector<ErrorRecord> gather_errors(Communicator& world, const std::string& phase,
                                       const std::optional<Mismatch>& mine) {
  struct Place {
    std::int64_t row;
    int expert, source, token, column;
  };
  const Mismatch sent = mine.value_or(Mismatch{});
  const auto lines = gather_strings(world, mine ? to_string(sent) : "");
  const auto expected = gather_strings(world, sent.expected);
  const auto seen = gather_strings(world, sent.seen);
  const auto places = gather_all(world, Place{.row = sent.row,
                                              .expert = sent.expert,
                                              .source = sent.source,
                                              .token = sent.token,
                                              .column = sent.column});
  std::vector<ErrorRecord> errors;
  for (std::size_t rank = 0; rank < lines.size(); ++rank) {
    if (lines[rank].empty()) continue;
    const Place& place = places[rank];
    errors.push_back({.phase = phase,
                      .rank = static_cast<int>(rank),
                      .peer = known(place.source),
                      .expert = known(place.expert),
                      .row = known(place.row),
                      .token = known_index(place.token),
                      .column = known_index(place.column),
                      .expected = text_value(expected[rank]),
                      .seen = text_value(seen[rank]),
                      .message = lines[rank]});
  }
  return errors;
}

}  // namespace llep
