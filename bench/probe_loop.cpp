// SPDX-License-Identifier: MIT
#include "bench/probe_loop.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/case_errors.hpp"
#include "common/stop_signal.hpp"

namespace llep {

namespace {

/// Long beside a launch and the ranks' skew, of about 10 us each.
constexpr double kSampleUs = 5000.0;
constexpr int kFewestRounds = 2;
constexpr int kMostRounds = 1 << 16;

}  // namespace

double ProbeLoop::timed(const Probe& probe, int num_rounds) {
  Device& device = context_.device;
  if (!probe.launch) return 0;
  device.mark(0);
  probe.launch(num_rounds);
  device.mark(1);
  device.synchronize();
  return device.elapsed_us(0, 1);
}

/// Microseconds of the slowest rank. In the middle of a probe ranks cannot agree that one has
/// failed: it keeps the error until they can.
double ProbeLoop::on_all_ranks(const Probe& probe, int num_rounds, ProbeOutcome& outcome) {
  const auto guard =
      guard_waits(watchdog_, context_.device, options_.timeout_ms,
                  fmt::format("{} rounds of {}", num_rounds, floor_name(probe.floor)));
  context_.world.barrier();
  Report mine;
  std::optional<Error> failure;
  try {
    mine.us = timed(probe, num_rounds);
  } catch (const Error& error) {
    failure = error;
  }
  mine.work = {.fault = read_fault(context_.device.faults().record),
               .failed = failure.has_value(),
               .transport_failed = context_.transport.failure().has_value(),
               .stop_signal = stop_signal()};
  double us = 0;
  std::vector<WorkReport> work;
  for (const Report& report : gather_all(context_.world, mine)) {
    us = std::max(us, report.us);
    work.push_back(report.work);
  }
  if (std::any_of(work.begin(), work.end(), [](const WorkReport& one) { return one.failed; })) {
    agree(context_.world, failure ? &*failure : nullptr);
  }
  outcome.code = gather_failures(context_.world, context_.transport, work, options_.timeout_ms,
                                 outcome.errors);
  return us;
}

/// How many rounds a sample has. The launches that find it out warm up as well.
int ProbeLoop::calibrate(const Probe& probe, ProbeOutcome& outcome) {
  int num_rounds = kFewestRounds;
  for (;;) {
    const double us = on_all_ranks(probe, num_rounds, outcome);
    const bool long_enough = us >= kSampleUs / 2 || num_rounds == kMostRounds;
    if (outcome.code != ExitCode::kOk || long_enough) return num_rounds;
    const double growth = std::clamp(kSampleUs / us, 2.0, 64.0);
    num_rounds = static_cast<int>(std::min<double>(kMostRounds, num_rounds * growth));
  }
}

/// Collective: messages made or looked at on the host.
void ProbeLoop::host_work(const Probe& probe, const std::function<void()>& work) {
  const auto guard = guard_host_work(watchdog_, context_.device, options_.timeout_ms,
                                     "messages of " + floor_name(probe.floor));
  collectively(context_.world, work);
}

void ProbeLoop::check(const Probe& probe, ProbeOutcome& outcome) {
  if (probe.message_bytes == 0) return;
  std::optional<WrongMessage> mine;
  host_work(probe, [&] { mine = messages_.check(set_, probe.sources, probe.message_bytes); });
  const auto lines = gather_strings(context_.world, mine ? mine->text : "");
  const auto sources = gather_all(context_.world, mine ? mine->source : -1);
  for (std::size_t rank = 0; rank < lines.size(); ++rank) {
    if (lines[rank].empty()) continue;
    outcome.code = ExitCode::kWrongData;
    outcome.errors.push_back(
        {.phase = std::string(to_string(probe.floor.probe)) + ": check",
         .rank = static_cast<int>(rank),
         .peer = sources[rank],
         .message = fmt::format("rank {}: {}: {}", rank, floor_name(probe.floor), lines[rank])});
  }
  outcome.floor.passed = outcome.code == ExitCode::kOk;
}

ProbeOutcome ProbeLoop::measure(const Probe& probe) {
  ProbeOutcome outcome{.floor = probe.floor};
  if (probe.message_bytes > 0) {
    ++set_;
    host_work(probe, [&] {
      messages_.fill(set_, probe.message_bytes);
      messages_.poison(probe.sources, probe.message_bytes);
    });
  }
  const int num_rounds = calibrate(probe, outcome);
  outcome.floor.num_rounds = num_rounds;
  for (int sample = 0; sample < options_.iters && outcome.code == ExitCode::kOk; ++sample) {
    const double us = on_all_ranks(probe, num_rounds, outcome);
    if (outcome.code == ExitCode::kOk) outcome.floor.round_us.push_back(us / num_rounds);
  }
  if (outcome.code == ExitCode::kOk) check(probe, outcome);
  return outcome;
}

}  // namespace llep
