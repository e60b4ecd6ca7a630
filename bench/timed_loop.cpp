// SPDX-License-Identifier: MIT
#include "bench/timed_loop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bench/case_errors.hpp"
#include "common/stop_signal.hpp"

namespace llep {

namespace {

/// The number of an iteration that is neither timed nor checked.
constexpr int kUntimed = -1;

}  // namespace

/// Collective.
void TimedLoop::reroute(int iteration) {
  const auto guard = guard_host_work(watchdog_, context_.device, options_.timeout_ms,
                                     fmt::format("a fresh routing of {}", label(case_)));
  run_.reroute(make_routing(case_, options_, iteration, context_.world.rank()));
}

void TimedLoop::prepare(int iteration) {
  const bool first = iteration == -options_.warmup;
  if (!first && !checks(options_, iteration)) return;
  filled_epoch_ = payload_epoch_++;
  run_.fill(filled_epoch_);
  run_.poison();
  if (ops_.hits(Injection::Kind::kCorrupt, iteration, Op::kDispatch)) run_.corrupt_dispatched_row();
  if (ops_.hits(Injection::Kind::kMisroute, iteration, Op::kDispatch)) run_.misroute();
  context_.device.synchronize();
}

IterationReport TimedLoop::one_iteration(int iteration, bool back_to_back) {
  IterationReport report;
  report.times = ops_.measure(iteration, back_to_back);
  report.fault = read_fault(context_.device.faults().record);
  report.failed = ops_.failure().has_value();
  report.transport_failed = context_.transport.failure().has_value();
  report.stop_signal = stop_signal();
  return report;
}

/// Collective: one iteration, and what every rank says of it. Throws everywhere if work failed
/// somewhere.
std::vector<IterationReport> TimedLoop::on_all_ranks(int iteration, bool back_to_back) {
  const auto guard = guard_waits(watchdog_, context_.device, options_.timeout_ms,
                                 fmt::format("iteration {} of {}", iteration, label(case_)));
  const auto reports = gather_all(context_.world, one_iteration(iteration, back_to_back));
  if (std::any_of(reports.begin(), reports.end(), [](const auto& one) { return one.failed; })) {
    agree(context_.world, ops_.failure() ? &*ops_.failure() : nullptr);
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
bool TimedLoop::faulted(const std::vector<IterationReport>& reports, CaseOutcome& outcome) const {
  outcome.code =
      gather_failures(context_.world, context_.transport, {reports.begin(), reports.end()},
                      options_.timeout_ms, outcome.result.errors);
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
      const IterationTimes& times = reports[rank].times;
      const OpTimes& own = op.op == Op::kCombine ? times.combine : times.dispatch;
      cold = std::max(cold, own.us);
      if (iteration < 0) continue;
      op.us[rank].push_back(own.us);
      if (splits(op)) op.receive_us[rank].push_back(own.receive_us);
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
    if (splits(result)) result.receive_us.resize(ranks);
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
    if (!checks(options_, iteration)) continue;
    if (judge(back_to_back, outcome) || iteration + 1 == options_.iters) break;
    // While the host judged, the device idled: what that costs is not the next iteration's.
    if (faulted(on_all_ranks(kUntimed, back_to_back), outcome)) break;
  }
  return outcome;
}

}  // namespace llep
