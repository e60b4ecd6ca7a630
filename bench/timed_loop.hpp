// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/failures.hpp"
#include "bench/runner.hpp"

namespace llep {

/// What every rank tells the others after each iteration.
struct IterationReport : WorkReport {
  double dispatch_us = 0;  // of the pair: all of it
  double combine_us = 0;
};

/// All ranks are released together by a barrier before each iteration. Mode `paired`: each op
/// between two marks. Modes `chained` and `graph`: --chain ops between two marks; times are those
/// of one op, checks those of the last.
class TimedLoop {
 public:
  TimedLoop(const RankContext& context, Watchdog& watchdog, const Case& one,
             const RunOptions& options, CaseRun& run, std::uint64_t& payload_epoch)
      : context_(context),
        watchdog_(watchdog),
        case_(one),
        options_(options),
        run_(run),
        payload_epoch_(payload_epoch) {}

  /// Dispatch and combine, each for itself; or both between one pair of marks.
  CaseOutcome run(bool back_to_back);

 private:
  bool checks(int iteration) const;
  void reroute(int iteration);
  void prepare(int iteration);
  void inject_before_launch(int iteration, Op op);
  void dispatch(int iteration);
  void combine(int iteration);
  void whole(Op op);
  double timed_chain(Op op, int iteration);
  void attempt(const std::function<void()>& work);
  void flush_l2();
  double timed(Op op, const std::function<void()>& send, const std::function<void()>& receive);
  void time_once(int iteration, bool back_to_back, IterationReport& report);
  void time_chains(int iteration, bool back_to_back, IterationReport& report);
  void apply_expert(int iteration);
  IterationReport one_iteration(int iteration, bool back_to_back);
  std::vector<IterationReport> on_all_ranks(int iteration, bool back_to_back);
  void prime();
  void host_work(const char* what, const std::function<void()>& work);
  bool judge(bool back_to_back, CaseOutcome& outcome);
  void record(const std::vector<IterationReport>& reports, int iteration, CaseOutcome& outcome);
  bool faulted(const std::vector<IterationReport>& reports, CaseOutcome& outcome) const;
  void report_wrong(const std::string& phase, const std::optional<Mismatch>& mine,
                    CaseOutcome& outcome) const;
  bool hits(Injection::Kind kind, int iteration, Op op) const {
    return options_.inject && options_.inject->kind == kind &&
           options_.inject->hits(context_.world.rank(), iteration, op);
  }
  const RankContext& context_;
  Watchdog& watchdog_;
  const Case& case_;
  const RunOptions& options_;
  CaseRun& run_;
  std::uint64_t& payload_epoch_;  // of the next fill; no two of a run have the same rows
  std::uint64_t filled_epoch_ = 0;
  std::optional<Error> failure_;
  std::map<Op, std::unique_ptr<RecordedWork>> graphs_;
  Memory flushed_;  // of --flush-l2
};

}  // namespace llep
