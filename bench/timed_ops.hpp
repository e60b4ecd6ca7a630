// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "bench/case_run.hpp"
#include "bench/device_meeting.hpp"
#include "bench/options.hpp"
#include "bench/sweep.hpp"

namespace llep {

/// The same work by three clocks, in microseconds.
struct ClockTimes {
  double host_observed = 0;  // between marks of the device's stream
  double device = 0;         // first block in to last block out; 0: off
  double wall = 0;           // of the host; in mode `fresh` with the meeting before
};

/// Of one rank.
struct OpTimes {
  ClockTimes whole;
  double receive_us = 0;  // host-observed; of a split op its receive half; 0: fused
  double overlap_receive_us = 0;  // right behind its send half
  double overlap_exposed_us = 0;  // behind compute in between
  std::int64_t entered_ns = 0;    // mode `fresh`: first block in, by rank 0's clock
  double clock_error_us = 0;
  bool timed = false;
};
struct IterationTimes {
  OpTimes dispatch;  // of a pair: all of it
  OpTimes combine;
};

/// The skew of the ranks' entries. What a rank waited for those that entered after it is not the
/// transport's: its time starts with the last one's.
double take_entries_out(std::vector<OpTimes>& times);

/// Whether the outputs of a timed iteration are verified.
bool checks(const RunOptions& options, int iteration);

/// The ops of one iteration on one rank, between marks. Mode `paired`: each op between two marks;
/// `fresh`: the same right behind a meeting of all devices. Modes `chained` and `graph`: --chain
/// ops between two marks; times are those of one op.
class TimedOps {
 public:
  TimedOps(const RankContext& context, const Case& one, const RunOptions& options, CaseRun& run)
      : context_(context), case_(one), options_(options), run_(run), meeting_(context) {}

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
  void between_marks(Op op, const Work& send, const Work& receive, OpTimes& times);
  void read_clocks(IterationTimes& times) const;
  void compute(double us);
  double receive_behind(const std::function<void(Halves)>& op, double compute_us);
  void overlap(const std::function<void(Halves)>& op, OpTimes& times);
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
  DeviceMeeting meeting_;  // of mode `fresh`
  int num_clocks_ = 0;     // of the device that this iteration has used
  Memory flushed_;  // of --flush-l2
};

}  // namespace llep
