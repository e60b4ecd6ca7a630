// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "bench/case_run.hpp"
#include "bench/options.hpp"
#include "bench/sweep.hpp"

namespace llep {

/// Of one rank.
struct OpTimes {
  double us = 0;
  double receive_us = 0;  // of a split op: its receive half; 0: fused
};
struct IterationTimes {
  OpTimes dispatch;  // of a pair: all of it
  OpTimes combine;
};

/// Whether the outputs of a timed iteration are verified.
bool checks(const RunOptions& options, int iteration);

/// The ops of one iteration on one rank, between marks. Mode `paired`: each op between two marks.
/// Modes `chained` and `graph`: --chain ops between two marks; times are those of one op.
class TimedOps {
 public:
  TimedOps(const RankContext& context, const Case& one, const RunOptions& options, CaseRun& run)
      : context_(context), case_(one), options_(options), run_(run) {}

  /// Collective: dispatch and combine, each for itself; or both between one pair of marks.
  IterationTimes measure(int iteration, bool back_to_back);

  /// What ended this rank's work; ranks agree on it when the iteration is over.
  const std::optional<Error>& failure() const { return failure_; }

  /// Whether this rank has that fault on purpose here.
  bool hits(Injection::Kind kind, int iteration, Op op) const;

 private:
  using Work = std::function<void()>;

  void inject_before_launch(int iteration, Op op);
  void attempt(const Work& work);
  void flush_l2();
  OpTimes timed(Op op, const Work& send, const Work& receive);
  double between_marks(Op op, const Work& work);
  void dispatch(int iteration);
  void combine(int iteration);
  void whole(Op op);
  OpTimes timed_chain(Op op, int iteration);
  void apply_expert(int iteration);
  IterationTimes time_chains(int iteration, bool back_to_back);
  IterationTimes time_once(int iteration, bool back_to_back);

  const RankContext& context_;
  const Case& case_;
  const RunOptions& options_;
  CaseRun& run_;
  std::optional<Error> failure_;
  std::map<Op, std::unique_ptr<RecordedWork>> graphs_;
  Memory flushed_;  // of --flush-l2
};

}  // namespace llep
