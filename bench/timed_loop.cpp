// SPDX-License-Identifier: MIT
#include "bench/timed_loop.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "bench/case_errors.hpp"

namespace llep {

namespace {

/// The number of an iteration that is neither timed nor checked.
constexpr int kUntimed = -1;

}  // namespace

bool TimedLoop::checks(int iteration) const {
  if (iteration < 0) return false;
  if (options_.check.kind == CheckPolicy::Kind::kOff) return false;
  // An injected fault is looked for where it was made.
  const auto& inject = options_.inject;
  if (inject && (!inject->iteration || *inject->iteration == iteration)) return true;
  return options_.check.checks(iteration, options_.iters);
}

/// Collective.
void TimedLoop::reroute(int iteration) {
  const auto guard = guard_host_work(watchdog_, context_.device, options_.timeout_ms,
                                     fmt::format("a fresh routing of {}", label(case_)));
  run_.reroute(make_routing(case_, options_, iteration, context_.world.rank()));
}

void TimedLoop::prepare(int iteration) {
  const bool first = iteration == -options_.warmup;
  if (!first && !checks(iteration)) return;
  filled_epoch_ = payload_epoch_++;
  run_.fill(filled_epoch_);
  run_.poison();
  if (hits(Injection::Kind::kCorrupt, iteration, Op::kDispatch)) run_.corrupt_dispatched_row();
  if (hits(Injection::Kind::kMisroute, iteration, Op::kDispatch)) run_.misroute();
  context_.device.synchronize();
}

void TimedLoop::inject_before_launch(int iteration, Op op) {
  if (hits(Injection::Kind::kDelay, iteration, op)) context_.device.delay(options_.inject->us);
  if (hits(Injection::Kind::kDrop, iteration, op)) {
    op == Op::kDispatch ? run_.drop_dispatched_signal() : run_.drop_expert_signal();
  }
  if (op == Op::kCombine && hits(Injection::Kind::kCorrupt, iteration, op)) {
    run_.corrupt_expert_row();
  }
  if (hits(Injection::Kind::kStall, iteration, op)) context_.transport.stall_proxies();
  if (hits(Injection::Kind::kBreak, iteration, op)) context_.transport.break_link();
  if (hits(Injection::Kind::kKill, iteration, op)) ::kill(::getpid(), SIGKILL);
  if (hits(Injection::Kind::kHang, iteration, op)) {
    for (;;) ::pause();  // until the other ranks' watchdogs end the run
  }
}

/// Work on the device. In the middle of an op ranks cannot agree that one has failed: it keeps the
/// error, leaves the rest out and communicates like the others until they can.
void TimedLoop::attempt(const std::function<void()>& work) {
  if (failure_) return;
  try {
    work();
  } catch (const Error& error) {
    failure_ = error;
  }
}

/// Microseconds of one op; split halves are timed apart and added, all ranks meet in between.
double TimedLoop::timed(const std::function<void()>& send, const std::function<void()>& receive) {
  Device& device = context_.device;
  double us = 0;
  const auto between_marks = [&](const std::function<void()>& work) {
    device.mark(0);
    work();
    device.mark(1);
    device.synchronize();
    us += device.elapsed_us(0, 1);
  };
  attempt([&] { between_marks(send); });
  if (!receive) return us;
  context_.world.barrier();
  attempt([&] { between_marks(receive); });
  return us;
}

void TimedLoop::dispatch(int iteration) {
  inject_before_launch(iteration, Op::kDispatch);
  run_.dispatch(case_.phases == Phases::kFused ? Halves::kBoth : Halves::kSend);
}

void TimedLoop::combine(int iteration) {
  inject_before_launch(iteration, Op::kCombine);
  run_.combine(case_.phases == Phases::kFused ? Halves::kBoth : Halves::kSend);
}

/// Both halves of an op.
void TimedLoop::whole(Op op) {
  const auto halves = [&](auto start) {
    if (case_.phases == Phases::kFused) return start(Halves::kBoth);
    start(Halves::kSend);
    start(Halves::kReceive);
  };
  if (op != Op::kCombine) halves([&](Halves half) { run_.dispatch(half); });
  if (op != Op::kDispatch) halves([&](Halves half) { run_.combine(half); });
}

/// Microseconds of one of the ops of a chain.
double TimedLoop::timed_chain(Op op, int iteration) {
  const auto chain = [&] {
    for (int i = 0; i < options_.chain; ++i) whole(op);
  };
  std::unique_ptr<RecordedWork>& graph = graphs_[op];
  attempt([&] {
    if (case_.mode == Mode::kGraph && !graph) graph = context_.device.record(chain);
    if (op != Op::kCombine) inject_before_launch(iteration, Op::kDispatch);
    if (op != Op::kDispatch) inject_before_launch(iteration, Op::kCombine);
  });
  const auto start = [&] { graph ? graph->launch() : chain(); };
  return timed(start, {}) / options_.chain;
}

/// Between dispatch and combine, where their rows are looked at.
void TimedLoop::apply_expert(int iteration) {
  if (!checks(iteration) && iteration != -options_.warmup) return;
  attempt([&] {
    run_.apply_expert();
    context_.device.synchronize();
  });
}

void TimedLoop::time_chains(int iteration, bool back_to_back, IterationReport& report) {
  report.dispatch_us = timed_chain(back_to_back ? Op::kPair : Op::kDispatch, iteration);
  if (back_to_back) return;
  apply_expert(iteration);
  report.combine_us = timed_chain(Op::kCombine, iteration);
}

void TimedLoop::time_once(int iteration, bool back_to_back, IterationReport& report) {
  const bool split = case_.phases == Phases::kSplit;
  const auto receive_dispatch = [&] { run_.dispatch(Halves::kReceive); };
  const auto receive_combine = [&] { run_.combine(Halves::kReceive); };
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
    apply_expert(iteration);
    report.combine_us = timed(send_combine, split ? receive_combine : std::function<void()>());
  }
}

IterationReport TimedLoop::one_iteration(int iteration, bool back_to_back) {
  IterationReport report;
  if (case_.mode == Mode::kPaired) {
    time_once(iteration, back_to_back, report);
  } else {
    time_chains(iteration, back_to_back, report);
  }
  report.fault = read_fault(context_.device.faults().record);
  report.failed = failure_.has_value();
  report.transport_failed = context_.transport.failure().has_value();
  return report;
}

/// Collective: one iteration, and what every rank says of it. Throws everywhere if work failed
/// somewhere.
std::vector<IterationReport> TimedLoop::on_all_ranks(int iteration, bool back_to_back) {
  const auto guard =
      guard_waits(watchdog_, context_.device, options_.timeout_ms,
                  fmt::format("iteration {} of {}", iteration, label(case_)));
  const auto reports = gather_all(context_.world, one_iteration(iteration, back_to_back));
  if (std::any_of(reports.begin(), reports.end(), [](const auto& one) { return one.failed; })) {
    agree(context_.world, failure_ ? &*failure_ : nullptr);
  }
  return reports;
}

/// Collective: what ranks do on the host for an iteration.
void TimedLoop::host_work(const char* what, const std::function<void()>& work) {
  const auto guard = guard_host_work(watchdog_, context_.device, options_.timeout_ms,
                                     fmt::format("{} of {}", what, label(case_)));
  collectively(context_.world, work);
}

/// Waits and transports that failed.
bool TimedLoop::faulted(const std::vector<IterationReport>& reports,
                         CaseOutcome& outcome) const {
  outcome.code = gather_failures(context_.world, context_.transport,
                                 {reports.begin(), reports.end()}, options_.timeout_ms,
                                 outcome.result.errors);
  return outcome.code != ExitCode::kOk;
}

void TimedLoop::report_wrong(const std::string& phase, const std::optional<Mismatch>& mine,
                              CaseOutcome& outcome) const {
  for (ErrorRecord& error : gather_errors(context_.world, phase, mine)) {
    outcome.result.errors.push_back(std::move(error));
    outcome.code = ExitCode::kWrongData;
  }
}

/// True when some rank has wrong data.
bool TimedLoop::judge(bool back_to_back, CaseOutcome& outcome) {
  std::optional<Mismatch> dispatch;
  std::optional<Mismatch> combine;
  host_work("checking", [&] {
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

void TimedLoop::record(const std::vector<IterationReport>& reports, int iteration,
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

/// The reference payload is the same in every iteration: its expert runs once for a routing, before
/// pairs that leave it no time.
void TimedLoop::prime() {
  run_.fill(0);
  run_.dispatch(Halves::kBoth);
  run_.apply_expert();
  run_.combine(Halves::kBoth);
  context_.device.synchronize();
}

CaseOutcome TimedLoop::run(bool back_to_back) {
  CaseOutcome outcome;
  outcome.result.which = case_;
  const auto ranks = static_cast<std::size_t>(context_.world.size());
  for (const Op op : case_.ops) {
    if ((op == Op::kPair) != back_to_back) continue;
    OpResult result{.op = op};
    result.us.resize(ranks);
    outcome.result.ops.push_back(result);
  }
  const bool primes = back_to_back && options_.payload == Payload::kReference;
  for (int iteration = -options_.warmup; iteration < options_.iters; ++iteration) {
    if (options_.fresh_routing) reroute(iteration);
    if (primes && (options_.fresh_routing || iteration == -options_.warmup)) {
      host_work("the first pair of a routing", [&] { prime(); });
    }
    host_work("preparing an iteration", [&] { prepare(iteration); });
    const auto reports = on_all_ranks(iteration, back_to_back);
    if (faulted(reports, outcome)) break;
    record(reports, iteration, outcome);
    if (!checks(iteration)) continue;
    if (judge(back_to_back, outcome) || iteration + 1 == options_.iters) break;
    // While the host judged, the device idled: what that costs is not the next iteration's.
    if (faulted(on_all_ranks(kUntimed, back_to_back), outcome)) break;
  }
  return outcome;
}

}  // namespace llep
