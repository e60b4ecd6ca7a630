// SPDX-License-Identifier: MIT
#include "bench/connection.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "bench/case_errors.hpp"
#include "bench/failures.hpp"
#include "bench/report_table.hpp"

namespace llep {

namespace {

/// The ranks' watchdogs wake at about the same time: each has said what it knows, and rank 0 has
/// written it down, before the first one ends them all.
constexpr auto kLastWords = std::chrono::seconds(1);

/// What this rank knows when its watchdog ends the run.
ErrorRecord hang_of(const Run& run) {
  const FaultRecord fault = read_fault(run.device.faults().record);
  if (fault.phase != WaitPhase::kNone) return error_of(fault, run.options.timeout_ms);
  ErrorRecord error{.phase = "run", .rank = run.world.rank()};
  error.message = fmt::format("rank {}: an iteration did not end, none of its own waits has failed",
                              run.world.rank());
  return error;
}

}  // namespace

void look_at_gpus(const Run& run, Watchdog& watchdog, Report& report) {
  if (run.gpu_monitor == nullptr) return;
  const auto guard = guard_host_work(watchdog, run.device, run.options.timeout_ms,
                                     "asking for the state of the GPU");
  run.gpu_monitor->sample();
  report.set(gather_all(run.world, run.gpu_monitor->health()));
}

Connection::Connection(const Run& run)
    : run_(run), watchdog_(run.world.rank(), [this](ExitCode code) { abort(code); }) {}

Transport& Connection::use(const TransportSettings& settings) {
  if (transport_ && settings == settings_) return *transport_;
  close();
  const auto guard = guard_host_work(watchdog_, run_.device, run_.options.timeout_ms,
                                     "connecting " + settings.name);
  auto next =
      make_transport(settings, run_.world, run_.nodes, run_.device.executor(), run_.options);
  next->connect(run_.world, run_.heap);
  transport_ = std::move(next);
  settings_ = settings;
  // There is one way of ipc, and other depths are told by what is measured with them.
  if (settings.name == "ipc" || settings.fifo_depth != run_.options.fifo_depth) return *transport_;
  const TransportSummary summary = summarize(run_.world, *transport_, false);
  if (run_.world.rank() == 0) {
    fmt::print(
        "{}", wrapped(fmt::format("transport: {}: {}", label(), summary.descriptions.front()), ""));
    std::fflush(stdout);
  }
  return *transport_;
}

Transport* Connection::use_if_possible(const TransportSettings& settings, std::string& why) {
  try {
    return &use(settings);
  } catch (const Error& error) {
    const bool others = run_.options.transports.size() * run_.options.signals.size() > 1;
    if (!others || error.code() != ExitCode::kUnavailable || !error.agreed()) throw;
    why = error.what();
    return nullptr;
  }
}

void Connection::close() {
  if (!transport_) return;
  const auto guard = guard_host_work(watchdog_, run_.device, run_.options.timeout_ms,
                                     "disconnecting " + settings_.name);
  if (Report* const report = report_) {
    TransportSummary summary = summarize(run_.world, *transport_, true);
    summary.name = label();
    report->set(summary);
  }
  transport_->disconnect(run_.world);
  transport_.reset();
}

std::string Connection::label() const {
  std::string text = settings_.name;
  if (settings_.signal == SignalMode::kAtomic) text += ", atomic signals";
  if (settings_.fifo_depth != run_.options.fifo_depth) {
    text += fmt::format(", depth {}", settings_.fifo_depth);
  }
  return text;
}

ExitCode Connection::run_to_the_end(Report& report, const std::function<ExitCode()>& work) {
  report_ = &report;
  try {
    const ExitCode code = work();
    close();
    report.end(code == ExitCode::kOk || code == ExitCode::kGateMissed);
    return code;
  } catch (const Error& error) {
    report.fail({.phase = "run", .message = error.what()});
    if (error.agreed()) close();
    throw;
  }
}

/// By the watchdog's thread, while this rank hangs.
void Connection::abort(ExitCode code) {
  if (Report* const report = report_) report->fail(hang_of(run_));
  std::this_thread::sleep_for(kLastWords);
  run_.world.abort(code);
}

}  // namespace llep
