// SPDX-License-Identifier: MIT
#include "bench/runner.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>

namespace llep {

namespace {

std::string describe(const FaultRecord& fault, double timeout_ms) {
  std::string line = fmt::format("rank {}: {}: waited {:g} ms for rank {}", fault.rank,
                                 to_string(fault.phase), timeout_ms, fault.peer);
  if (fault.expert >= 0) line += fmt::format(", expert {}", fault.expert);
  if (fault.token >= 0) line += fmt::format(", token {}", fault.token);
  return line + fmt::format(": expected epoch {}, seen {}", fault.expected, fault.seen);
}

/// What every rank tells the others after each iteration.
struct IterationReport {
  FaultRecord fault;
  bool failed = false;  // by an error of its own, which is agreed upon next
  double dispatch_us = 0;  // of the pair: all of it
  double combine_us = 0;
};

/// The number of an iteration that is neither timed nor checked.
constexpr int kUntimed = -1;

/// Mode `paired`: each op between two marks, all ranks released together by a barrier.
class PairedLoop {
 public:
  PairedLoop(const RankContext& context, Watchdog& watchdog, const Case& one,
             const RunOptions& options, CaseRun& run)
      : context_(context), watchdog_(watchdog), case_(one), options_(options), run_(run) {}

  /// Dispatch and combine, each for itself; or both between one pair of marks.
  CaseOutcome run(bool back_to_back);

 private:
  bool checks(int iteration) const;
  void prepare(int iteration);
  void inject_before_launch(int iteration, Op op);
  void dispatch(int iteration);
  void combine(int iteration);
  double timed(const std::function<void()>& send, const std::function<void()>& receive);
  IterationReport one_iteration(int iteration, bool back_to_back);
  std::vector<IterationReport> all_ranks(int iteration, bool back_to_back);
  void prime();
  bool judge(bool back_to_back, CaseOutcome& outcome);
  void record(const std::vector<IterationReport>& reports, int iteration, CaseOutcome& outcome);
  bool faulted(const std::vector<IterationReport>& reports, CaseOutcome& outcome) const;
  void report_wrong(const std::string& phase, const std::optional<Mismatch>& mine,
                    CaseOutcome& outcome) const;
  bool hits(Injection::Kind kind, int iteration, Op op) const {
    return options_.inject && options_.inject->kind == kind &&
           options_.inject->hits(context_.world.rank(), iteration, op);
  }
  /// Iterations count from -warmup: each has rows of its own.
  std::uint64_t payload_epoch(int iteration) const {
    return static_cast<std::uint64_t>(iteration + options_.warmup);
  }

  const RankContext& context_;
  Watchdog& watchdog_;
  const Case& case_;
  const RunOptions& options_;
  CaseRun& run_;
  std::uint64_t filled_epoch_ = 0;
};

bool PairedLoop::checks(int iteration) const {
  if (iteration < 0) return false;
  if (options_.check.kind == CheckPolicy::Kind::kOff) return false;
  // An injected fault is looked for where it was made.
  if (options_.inject && (!options_.inject->iteration || *options_.inject->iteration == iteration)) {
    return true;
  }
  return options_.check.checks(iteration, options_.iters);
}

void PairedLoop::prepare(int iteration) {
  const bool first = iteration == -options_.warmup;
  if (!first && !checks(iteration)) return;
  filled_epoch_ = payload_epoch(iteration);
  run_.fill(filled_epoch_);
  run_.poison();
  if (hits(Injection::Kind::kCorrupt, iteration, Op::kDispatch)) run_.corrupt_dispatched_row();
  if (hits(Injection::Kind::kMisroute, iteration, Op::kDispatch)) run_.misroute();
  context_.device.synchronize();
}

void PairedLoop::inject_before_launch(int iteration, Op op) {
  if (hits(Injection::Kind::kDelay, iteration, op)) context_.device.delay(options_.inject->us);
  if (hits(Injection::Kind::kDrop, iteration, op)) run_.drop_one_signal();
  if (op == Op::kCombine && hits(Injection::Kind::kCorrupt, iteration, op)) {
    run_.corrupt_expert_row();
  }
  if (hits(Injection::Kind::kKill, iteration, op)) ::kill(::getpid(), SIGKILL);
  if (hits(Injection::Kind::kHang, iteration, op)) {
    for (;;) ::pause();  // until the other ranks' watchdogs end the run
  }
}

/// Microseconds of one op; split halves are timed apart and added, all ranks meet in between.
double PairedLoop::timed(const std::function<void()>& send, const std::function<void()>& receive) {
  Device& device = context_.device;
  device.mark(0);
  send();
  device.mark(1);
  device.synchronize();
  if (!receive) return device.elapsed_us(0, 1);
  context_.world.barrier();
  device.mark(2);
  receive();
  device.mark(3);
  device.synchronize();
  return device.elapsed_us(0, 1) + device.elapsed_us(2, 3);
}

void PairedLoop::dispatch(int iteration) {
  inject_before_launch(iteration, Op::kDispatch);
  run_.dispatch(case_.phases == Phases::kFused ? Halves::kBoth : Halves::kSend);
}

void PairedLoop::combine(int iteration) {
  inject_before_launch(iteration, Op::kCombine);
  run_.combine(case_.phases == Phases::kFused ? Halves::kBoth : Halves::kSend);
}

IterationReport PairedLoop::one_iteration(int iteration, bool back_to_back) {
  const bool split = case_.phases == Phases::kSplit;
  const auto receive_dispatch = [&] { run_.dispatch(Halves::kReceive); };
  const auto receive_combine = [&] { run_.combine(Halves::kReceive); };
  IterationReport report;
  if (back_to_back) {
    report.dispatch_us = timed(
        [&] {
          dispatch(iteration);
          if (split) receive_dispatch();
          combine(iteration);
          if (split) receive_combine();
        },
        {});
  } else {
    const auto send_dispatch = [&] { dispatch(iteration); };
    const auto send_combine = [&] { combine(iteration); };
    report.dispatch_us = timed(send_dispatch, split ? receive_dispatch : std::function<void()>());
    if (checks(iteration) || iteration == -options_.warmup) {
      run_.apply_expert();
      context_.device.synchronize();
    }
    report.combine_us = timed(send_combine, split ? receive_combine : std::function<void()>());
  }
  report.fault = *context_.device.faults().record;
  return report;
}

/// One iteration on all ranks. An error of one of them is thrown on every rank.
std::vector<IterationReport> PairedLoop::all_ranks(int iteration, bool back_to_back) {
  const std::chrono::duration<double, std::milli> timeout(options_.timeout_ms);
  const auto patience = std::chrono::duration_cast<std::chrono::nanoseconds>(3 * timeout) +
                        std::chrono::seconds(5);
  const auto known = [record = context_.device.faults().record, this] {
    return record->phase == WaitPhase::kNone ? "no wait of this rank has failed"
                                             : describe(*record, options_.timeout_ms);
  };
  const auto guard =
      watchdog_.guard(patience, "iteration " + std::to_string(iteration), known);
  IterationReport mine;
  std::optional<Error> error;
  try {
    mine = one_iteration(iteration, back_to_back);
  } catch (const Error& thrown) {
    error = thrown;
    mine.failed = true;
  }
  auto reports = gather_all(context_.world, mine);
  const bool failed = std::any_of(reports.begin(), reports.end(),
                                  [](const IterationReport& report) { return report.failed; });
  if (failed) agree(context_.world, error ? &*error : nullptr);
  return reports;
}

bool PairedLoop::faulted(const std::vector<IterationReport>& reports,
                         CaseOutcome& outcome) const {
  for (const IterationReport& report : reports) {
    const FaultRecord& fault = report.fault;
    if (fault.phase == WaitPhase::kNone) continue;
    const auto known = [](std::int32_t value) {
      return value < 0 ? std::nullopt : std::optional<int>(value);
    };
    ErrorRecord error{.phase = to_string(fault.phase),
                      .rank = known(fault.rank),
                      .peer = known(fault.peer),
                      .expert = known(fault.expert),
                      .expected = fault.expected,
                      .seen = fault.seen};
    if (fault.token >= 0) error.token = fault.token;
    error.message = describe(fault, options_.timeout_ms);
    outcome.result.errors.push_back(error);
    outcome.code = ExitCode::kDeadline;
  }
  return outcome.code == ExitCode::kDeadline;
}

void PairedLoop::report_wrong(const std::string& phase, const std::optional<Mismatch>& mine,
                              CaseOutcome& outcome) const {
  const auto lines = gather_strings(context_.world, mine ? to_string(*mine) : "");
  const Mismatch sent = mine.value_or(Mismatch{});
  struct Place {
    int expert, token, column;
    std::int64_t row;
  };
  const auto places = gather_all(
      context_.world,
      Place{.expert = sent.expert, .token = sent.token, .column = sent.column, .row = sent.row});
  const auto known = [](auto value) {
    return value < 0 ? std::nullopt : std::optional(value);
  };
  for (std::size_t rank = 0; rank < lines.size(); ++rank) {
    if (lines[rank].empty()) continue;
    const Place& place = places[rank];
    ErrorRecord error{.phase = phase,
                      .rank = static_cast<int>(rank),
                      .expert = known(place.expert),
                      .row = known(place.row),
                      .message = lines[rank]};
    if (place.token >= 0) error.token = place.token;
    if (place.column >= 0) error.column = place.column;
    outcome.result.errors.push_back(error);
    outcome.code = ExitCode::kWrongData;
  }
}

/// True when some rank has wrong data.
bool PairedLoop::judge(bool back_to_back, CaseOutcome& outcome) {
  std::optional<Mismatch> dispatch;
  std::optional<Mismatch> combine;
  collectively(context_.world, [&] {
    dispatch = run_.check_dispatch(filled_epoch_);
    combine = run_.check_combine(filled_epoch_);
  });
  report_wrong("dispatch: check", dispatch, outcome);
  report_wrong("combine: check", combine, outcome);
  for (OpResult& op : outcome.result.ops) {
    if ((op.op == Op::kPair) != back_to_back) continue;
    ++op.checked_iterations;
    const bool bad = std::any_of(
        outcome.result.errors.begin(), outcome.result.errors.end(), [&](const ErrorRecord& e) {
          return op.op == Op::kPair || e.phase.starts_with(to_string(op.op));
        });
    op.passed = !bad;
  }
  return outcome.code != ExitCode::kOk;
}

void PairedLoop::record(const std::vector<IterationReport>& reports, int iteration,
                        CaseOutcome& outcome) {
  for (OpResult& op : outcome.result.ops) {
    double cold = 0;
    for (std::size_t rank = 0; rank < reports.size(); ++rank) {
      const double us =
          op.op == Op::kCombine ? reports[rank].combine_us : reports[rank].dispatch_us;
      cold = std::max(cold, us);
      if (iteration >= 0) op.us[rank].push_back(us);
    }
    if (iteration < 0 && iteration == -options_.warmup) op.cold_us = cold;
  }
}

/// The reference payload is the same in every iteration: its expert runs once, before pairs that
/// leave it no time.
void PairedLoop::prime() {
  run_.fill(0);
  run_.dispatch(Halves::kBoth);
  run_.apply_expert();
  run_.combine(Halves::kBoth);
  context_.device.synchronize();
}

CaseOutcome PairedLoop::run(bool back_to_back) {
  CaseOutcome outcome;
  outcome.result.which = case_;
  const auto ranks = static_cast<std::size_t>(context_.world.size());
  for (const Op op : case_.ops) {
    if ((op == Op::kPair) != back_to_back) continue;
    OpResult result{.op = op};
    result.us.resize(ranks);
    outcome.result.ops.push_back(result);
  }
  if (back_to_back && options_.payload == Payload::kReference) prime();
  for (int iteration = -options_.warmup; iteration < options_.iters; ++iteration) {
    collectively(context_.world, [&] { prepare(iteration); });
    const auto reports = all_ranks(iteration, back_to_back);
    if (faulted(reports, outcome)) break;
    record(reports, iteration, outcome);
    if (!checks(iteration)) continue;
    if (judge(back_to_back, outcome)) break;
    // While the host judged, the device idled: what that costs is not the next iteration's.
    all_ranks(kUntimed, back_to_back);
  }
  return outcome;
}

EpAxes axes_of(const Case& one, const RunOptions& options) {
  return {.shape = one.shape,
          .dtype = one.dtype,
          .copies = one.copies,
          .zero_copy = options.zero_copy};
}

/// Bytes of all ranks; rows that leave a rank go to peers of its node.
ByteClasses count_bytes(const CaseRun& run, const Case& one, Op op) {
  ByteClasses bytes;
  const GlobalRouting& routing = run.routing();
  const auto row = static_cast<std::uint64_t>(row_bytes(op, one.dtype, one.shape.hidden));
  for (int rank = 0; rank < one.shape.num_ranks; ++rank) {
    const ByteCounts counts = op == Op::kDispatch
                                  ? dispatch_bytes(routing, rank, row, one.copies)
                                  : combine_bytes(routing, rank, row);
    bytes.logical.push_back(counts.logical);
    bytes.unique_rank.push_back(counts.unique_rank);
    bytes.self.push_back(counts.self);
    bytes.nvlink.push_back(counts.remote);
    bytes.rdma.push_back(0);
    bytes.messages.push_back(counts.messages);
  }
  return bytes;
}

std::vector<std::uint64_t> sum_of(const std::vector<std::uint64_t>& a,
                                  const std::vector<std::uint64_t>& b) {
  std::vector<std::uint64_t> sum(a.size());
  std::transform(a.begin(), a.end(), b.begin(), sum.begin(), std::plus<>());
  return sum;
}

ByteClasses bytes_of(const CaseRun& run, const Case& one, Op op) {
  if (op != Op::kPair) return count_bytes(run, one, op);
  const ByteClasses dispatch = count_bytes(run, one, Op::kDispatch);
  const ByteClasses combine = count_bytes(run, one, Op::kCombine);
  return {.logical = sum_of(dispatch.logical, combine.logical),
          .unique_rank = sum_of(dispatch.unique_rank, combine.unique_rank),
          .self = sum_of(dispatch.self, combine.self),
          .nvlink = sum_of(dispatch.nvlink, combine.nvlink),
          .rdma = sum_of(dispatch.rdma, combine.rdma),
          .messages = sum_of(dispatch.messages, combine.messages)};
}

/// Adds what the second loop measured to the first's.
void append(CaseOutcome& all, CaseOutcome loop) {
  CaseResult& result = all.result;
  result.which = loop.result.which;
  std::move(loop.result.ops.begin(), loop.result.ops.end(), std::back_inserter(result.ops));
  std::move(loop.result.errors.begin(), loop.result.errors.end(),
            std::back_inserter(result.errors));
  all.code = loop.code;
}

}  // namespace

PlannedLayout plan_case(const Case& one, const RunOptions& options, std::uint64_t signal_bytes) {
  return plan_layout(axes_of(one, options), signal_bytes);
}

std::uint64_t case_signal_bytes(const Case& one, const RunOptions& options) {
  return signal_bytes(axes_of(one, options));
}

CaseOutcome run_case(const RankContext& context, Watchdog& watchdog, const Case& one,
                     const RunOptions& options, std::uint64_t signal_bytes) {
  const RoutingSpec spec{
      .seed = options.seed, .mask = options.mask, .uneven_tokens = options.uneven_tokens};
  CaseRun run(context, {.layout = plan_case(one, options, signal_bytes).layout,
                        .routing = make_routing(one.shape, spec, context.world.rank()),
                        .payload = options.payload,
                        .seed = options.seed});
  PairedLoop loop(context, watchdog, one, options, run);
  CaseOutcome outcome;
  outcome.result.which = one;
  if (one.wants(Op::kDispatch) || one.wants(Op::kCombine)) append(outcome, loop.run(false));
  if (outcome.code == ExitCode::kOk && one.wants(Op::kPair)) append(outcome, loop.run(true));
  for (OpResult& op : outcome.result.ops) op.bytes = bytes_of(run, one, op.op);
  if (outcome.code != ExitCode::kOk) {
    outcome.result.status = CaseStatus::kFailed;
    outcome.result.reason = outcome.result.errors.front().message;
  }
  // Nobody frees what a peer's kernel may still write.
  context.device.synchronize();
  context.world.barrier();
  return outcome;
}

}  // namespace llep
