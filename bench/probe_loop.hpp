// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <vector>

#include "bench/failures.hpp"
#include "bench/floor.hpp"
#include "bench/probe_messages.hpp"
#include "common/watchdog.hpp"

namespace llep {

/// Something to measure, as one rank takes part in it.
struct Probe {
  Floor floor;  // without what is measured
  /// Starts this rank's kernel for so many rounds; empty: the others' probe.
  std::function<void(int num_rounds)> launch = {};
  std::vector<int> sources = {};    // ranks whose messages arrive here
  std::uint64_t message_bytes = 0;  // of all that one rank has under way
};

struct ProbeOutcome {
  Floor floor;
  std::vector<ErrorRecord> errors = {};
  ExitCode code = ExitCode::kOk;  // other: stop, the transport may be dead
};

/// Times probes: each sample is one launch of as many rounds as take a few milliseconds, from the
/// mark before it to the one behind it, on the slowest rank.
class ProbeLoop {
 public:
  ProbeLoop(const RankContext& context, Watchdog& watchdog, const RunOptions& options,
            const ProbeLayout& layout)
      : context_(context), watchdog_(watchdog), options_(options), messages_(context, layout) {}

  /// Collective; complete on every rank. Wrong data, passed deadlines and transports that ended are
  /// in the outcome; anything else throws.
  ProbeOutcome measure(const Probe& probe);

 private:
  struct Report {
    WorkReport work;
    double us = 0;
  };

  double timed(const Probe& probe, int num_rounds);
  double on_all_ranks(const Probe& probe, int num_rounds, ProbeOutcome& outcome);
  void host_work(const Probe& probe, const std::function<void()>& work);
  int calibrate(const Probe& probe, ProbeOutcome& outcome);
  void check(const Probe& probe, ProbeOutcome& outcome);

  RankContext context_;
  Watchdog& watchdog_;
  const RunOptions& options_;
  ProbeMessages messages_;
  std::uint64_t set_ = 0;  // of messages; each probe has its own
};

}  // namespace llep
