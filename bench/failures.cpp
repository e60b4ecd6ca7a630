// SPDX-License-Identifier: MIT
#include "bench/failures.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/case_errors.hpp"

namespace llep {

namespace {

/// One error for each rank that has something to say.
void add_lines(Communicator& world, const std::string& mine, std::vector<ErrorRecord>& errors) {
  const auto lines = gather_strings(world, mine);
  for (std::size_t rank = 0; rank < lines.size(); ++rank) {
    if (lines[rank].empty()) continue;
    errors.push_back({.phase = "transport",
                      .rank = static_cast<int>(rank),
                      .message = fmt::format("rank {}: {}", rank, lines[rank])});
  }
}

}  // namespace

ExitCode gather_failures(Communicator& world, const Transport& transport,
                         const std::vector<WorkReport>& reports, double timeout_ms,
                         std::vector<ErrorRecord>& errors) {
  const bool dead = std::any_of(reports.begin(), reports.end(),
                                [](const WorkReport& one) { return one.transport_failed; });
  // What ended transports comes first: it explains the waits that failed.
  if (dead) add_lines(world, transport.failure().value_or(""), errors);
  ExitCode code = dead ? ExitCode::kInternal : ExitCode::kOk;
  for (const WorkReport& report : reports) {
    if (report.fault.phase == WaitPhase::kNone) continue;
    errors.push_back(error_of(report.fault, timeout_ms));
    if (!dead) code = ExitCode::kDeadline;
  }
  if (code == ExitCode::kDeadline) add_lines(world, transport.state(), errors);
  return code;
}

}  // namespace llep
