// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/failures.hpp"
#include "bench/runner.hpp"
#include "bench/timed_ops.hpp"

namespace llep {

/// What every rank tells the others after each iteration.
struct IterationReport : WorkReport {
  IterationTimes times;
};

/// Warm-up, timed iterations and their checks. All ranks are released together before each
/// iteration, by a barrier of the hosts or, in mode `fresh`, of the devices before each op; in a
/// chain the outputs of the last op are checked.
class TimedLoop {
 public:
  TimedLoop(const RankContext& context, Watchdog& watchdog, const Case& one,
            const RunOptions& options, CaseRun& run, std::uint64_t& payload_epoch)
      : context_(context),
        watchdog_(watchdog),
        case_(one),
        options_(options),
        run_(run),
        ops_(context, one, options, run),
        payload_epoch_(payload_epoch) {}

  /// Dispatch and combine, each for itself; or both between one pair of marks.
  CaseOutcome run(bool back_to_back);

 private:
  void reroute(int iteration);
  void prepare(int iteration);
  IterationReport one_iteration(int iteration, bool back_to_back);
  std::vector<IterationReport> on_all_ranks(int iteration, bool back_to_back);
  void prime();
  void host_work(const char* what, const std::function<void()>& work);
  void look_at_gpu();
  bool judge(bool back_to_back, CaseOutcome& outcome);
  void record(const std::vector<IterationReport>& reports, int iteration, CaseOutcome& outcome);
  void add_samples(const std::vector<OpTimes>& times, std::optional<double> entry_skew_us,
                   OpResult& op) const;
  OpResult without_samples(Op op) const;
  bool faulted(const std::vector<IterationReport>& reports, CaseOutcome& outcome) const;
  void report_wrong(const std::string& phase, const std::optional<Mismatch>& mine,
                    CaseOutcome& outcome) const;
  /// Whether the halves of the op are timed apart.
  bool splits(const OpResult& op) const {
    return case_.phases == Phases::kSplit && !is_chain(case_.mode) && op.op != Op::kPair;
  }

  const RankContext& context_;
  Watchdog& watchdog_;
  const Case& case_;
  const RunOptions& options_;
  CaseRun& run_;
  TimedOps ops_;
  std::uint64_t& payload_epoch_;  // of the next fill; no two of a run have the same rows
  std::uint64_t filled_epoch_ = 0;
};

}  // namespace llep
