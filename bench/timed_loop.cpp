// SPDX-License-Identifier: MIT
#include "bench/timed_loop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bench/case_errors.hpp"
#include "bench/traffic.hpp"
#include "common/exec/gpu_health.hpp"
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
  run_.clear_clocks();
  context_.device.synchronize();
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

/// While its clocks are still those of the ops: checks on the host take long.
void TimedLoop::look_at_gpu() {
  if (context_.gpu_monitor == nullptr) return;
  host_work("asking for the state of the GPU", [&] { context_.gpu_monitor->sample(); });
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
    std::vector<OpTimes> times;
    for (const IterationReport& report : reports) {
      times.push_back(op.op == Op::kCombine ? report.times.combine : report.times.dispatch);
    }
    std::optional<double> entry_skew_us;
    if (case_.mode == Mode::kFresh) entry_skew_us = take_entries_out(times);
    if (iteration >= 0) add_samples(times, entry_skew_us, op);
    if (iteration >= 0 || iteration != -options_.warmup) continue;
    const auto slowest = std::max_element(times.begin(), times.end(), [](auto& a, auto& b) {
      return a.whole.host_observed < b.whole.host_observed;
    });
    op.cold_us = slowest->whole.host_observed;
  }
}

void TimedLoop::add_samples(const std::vector<OpTimes>& times, std::optional<double> entry_skew_us,
                            OpResult& op) const {
  const auto add = [&](RankSamples& samples, auto value) {
    for (std::size_t rank = 0; rank < samples.size(); ++rank) {
      samples[rank].push_back(value(times[rank]));
    }
  };
  add(op.us, [](const OpTimes& one) { return one.whole.host_observed; });
  add(op.device_us, [](const OpTimes& one) { return one.whole.device; });
  add(op.wall_us, [](const OpTimes& one) { return one.whole.wall; });
  add(op.receive_us, [](const OpTimes& one) { return one.receive_us; });
  add(op.overlap.receive_us, [](const OpTimes& one) { return one.overlap_receive_us; });
  add(op.overlap.exposed_us, [](const OpTimes& one) { return one.overlap_exposed_us; });
  if (!entry_skew_us) return;
  op.entry_skew_us.push_back(*entry_skew_us);
  op.clock_error_us = std::max(op.clock_error_us, times.front().clock_error_us);
}

OpResult TimedLoop::without_samples(Op op) const {
  OpResult result{.op = op};
  const auto measure = [&](RankSamples& samples, bool wanted = true) {
    if (wanted) samples.resize(static_cast<std::size_t>(context_.world.size()));
  };
  measure(result.us);
  measure(result.device_us, options_.device_clock);
  measure(result.wall_us, case_.mode != Mode::kFresh);  // there the meeting is in it
  measure(result.receive_us, splits(result));
  const bool overlaps = splits(result) && options_.overlap_us > 0;
  measure(result.overlap.receive_us, overlaps);
  measure(result.overlap.exposed_us, overlaps);
  return result;
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
  for (const Op op : case_.ops) {
    if ((op == Op::kPair) == back_to_back) outcome.result.ops.push_back(without_samples(op));
  }
  int num_routings = 0;
  const bool primes = back_to_back && options_.payload == Payload::kReference;
  for (int iteration = -options_.warmup; iteration < options_.iters; ++iteration) {
    if (options_.fresh_routing) reroute(iteration);
    if (primes && (options_.fresh_routing || iteration == -options_.warmup)) {
      host_work("the first pair of a routing", [&] { prime(); });
    }
    host_work("preparing an iteration", [&] {
      prepare(iteration);
      if (iteration < 0 || (iteration > 0 && !options_.fresh_routing)) return;
      add_traffic(run_.routing(), case_, context_.nodes, outcome.result.ops);
      ++num_routings;
    });
    const auto reports = on_all_ranks(iteration, back_to_back);
    if (faulted(reports, outcome)) break;
    record(reports, iteration, outcome);
    if (iteration + 1 == options_.iters) look_at_gpu();
    if (!checks(options_, iteration)) continue;
    if (judge(back_to_back, outcome) || iteration + 1 == options_.iters) break;
    // While the host judged, the device idled: what that costs is not the next iteration's.
    if (faulted(on_all_ranks(kUntimed, back_to_back), outcome)) break;
  }
  average_traffic(num_routings, outcome.result.ops);
  return outcome;
}

}  // namespace llep
